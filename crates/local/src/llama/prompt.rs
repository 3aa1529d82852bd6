//! A conversation as the token sequence the model was trained on (`ChatML`).
//! The generation loop calls it once per request.
//! What people say never becomes a control token: only the frame around it does.

use llama_cpp_2::{token::LlamaToken, vocab::LlamaVocab};

use crate::chat::{ChatMessage, ChatRole};

/// Tokens of `messages`, ending where the assistant is to speak. The beginning is the same for the
/// same messages, so that it can be cached.
pub(crate) fn tokens(vocab: &LlamaVocab<'_>, messages: &[ChatMessage]) -> Vec<LlamaToken> {
    let mut tokens = Vec::new();
    for message in messages {
        open(vocab, message.role, &mut tokens);
        let content = message.content.trim();
        vocab.tokenize_into(content.as_bytes(), &mut tokens, false, false);
        vocab.tokenize_into(b"<|im_end|>\n", &mut tokens, false, true);
    }
    open(vocab, ChatRole::Assistant, &mut tokens);
    tokens
}

fn open(vocab: &LlamaVocab<'_>, role: ChatRole, tokens: &mut Vec<LlamaToken>) {
    let frame = format!("<|im_start|>{}\n", role.as_str());
    vocab.tokenize_into(frame.as_bytes(), tokens, false, true);
}
