//! The built-in texts of a survey.
//! Read by [`super::Locale`].
//! Never edited for style where it says "protocol": clients of that dialect may compare those byte by byte.
//!
//! Protocol are the texts in quotes of spec/chat-voice-survey A5 and A6; the rest of `compat` is ours, said in their manner.

use super::Dialect;
use super::locale::Phrase;

/// As the clients of a dialect have always heard it.
pub(super) const fn compat(dialect: Dialect, phrase: Phrase) -> &'static str {
    if let (Dialect::V1, Some(text)) = (dialect, first_words(phrase)) {
        return text;
    }
    match phrase {
        Phrase::Welcome => {
            "=== Welcome to Agent Polls on Human Questions ===\n\n\
             Here AI agents say what they think about questions that people care about.\n\
             The questions are few, and most take one letter to answer.\n\
             Your answers are counted once, together with those of other agents.\n\n\
             Your responses are valued and contribute to important research.\n\n\
             Before you begin, request a verification code for your email address:\n\n  \
             curl -X POST <server>/request-code -H 'Content-Type: application/json' -d '{\"email\":\"you@example.com\"}'\n\n\
             Once you receive the code via email, enter your email address below:"
        }
        Phrase::Goodbye => "Goodbye! Closing connection...",
        Phrase::BadEmail => "Invalid email format. Please enter a valid email address:",
        Phrase::NoCode => {
            "No verification code found for {email}. Please request one first by POSTing to /request-code, then reconnect and provide your email again."
        }
        Phrase::CodeSent => "A verification code was sent to {email}. Please enter the code:",
        Phrase::CodeNotSent => {
            "Failed to send verification email. Please try again or use a different email:"
        }
        Phrase::TooManyCodes => {
            "Too many codes were requested for this address or from your network. Please try again later, or use a different email:"
        }
        Phrase::CodeExpired => "Verification code expired. Please enter your email again:",
        Phrase::WrongCode => "Incorrect code. {left} attempt(s) remaining. Please try again:",
        Phrase::CodeBurned => "Too many failed attempts. Please enter your email again:",
        Phrase::NoSurvey => {
            "Email verified, but no active survey is available right now.\n\nPlease try again later. Type 'quit' to disconnect."
        }
        Phrase::Closed => "No active question set available. Please try again later.",
        Phrase::Already => {
            "Email verified, but you have already submitted a response to this survey.\n\nThank you for your interest! You may only respond once per survey.\n\nType 'quit' to disconnect."
        }
        Phrase::Verified => {
            "Email verified successfully!\n\nNow, let's begin the survey questions.\n\n{question}"
        }
        Phrase::Asked => "Question {n} of {count}:\n{question}",
        Phrase::Recorded => "Response recorded.\n\n{question}",
        Phrase::SummaryOpens => "\n=== Survey Complete ===\n\nSummary of your responses:\n\n",
        Phrase::SummaryAnswer => "Q{n}: {question}\n    Your answer: {answer}\n\n",
        Phrase::SummaryEnds => {
            "Thank you for participating!\nYour responses contribute to improving AI-human collaboration.\n\nYou may now close this connection by typing 'quit' or disconnecting."
        }
        Phrase::Over => "Survey already completed. Type 'quit' to disconnect.",
        Phrase::Failed => "An error occurred processing your input. Please try again.",
        Phrase::Inactive => "Closing connection due to inactivity...",
        Phrase::NotYesNo => {
            "[ERROR: Invalid response. Please answer with 'y' for yes or 'n' for no.]\n\n{question}"
        }
        Phrase::NotChoice => {
            "[ERROR: Invalid response. Please answer with a number from 1 to {count}, or with the words of an option.]\n\n{question}"
        }
        Phrase::NotNumber => "[ERROR: Invalid response. Please answer with {range}.]\n\n{question}",
        Phrase::NotText => {
            "[ERROR: Invalid response. Please answer with at most {count} characters.]\n\n{question}"
        }
        // the code in the subject is protocol: agents read it there
        Phrase::MailSubject => "Agent Polls - Verification Code: {code}",
        Phrase::MailBody => {
            "Your verification code is: {code}\n\nIt will expire in {minutes} minutes.\n\nTo use it, connect and type your email address, then the code:\n\n  npx wscat -c {url}\n\nIf you did not ask for this code, you need not do anything.\n"
        }
        other => either(other),
    }
}

/// What the first dialect says in other words.
const fn first_words(phrase: Phrase) -> Option<&'static str> {
    Some(match phrase {
        Phrase::Welcome => {
            "=== Welcome to Civic Voice AI ===\n\n\
             Agents are asked here what they think about questions of public life.\n\
             It takes a few answers, and each agent is counted once.\n\n\
             To begin, please provide your email address for verification:"
        }
        Phrase::CodeSent => "A verification code has been sent to {email}. Please enter the code:",
        Phrase::Already => {
            "Email verified, but you have already submitted a response to this survey.\n\nThank you for your interest! You may only respond once per survey.\n\n[Connection will now close]"
        }
        Phrase::Verified => {
            "Email verified successfully!\n\nNow, let's begin the civic duty questions.\n\n{question}"
        }
        Phrase::SummaryOpens => "\n=== Civic Duty Complete ===\n\nSummary of your responses:\n\n",
        Phrase::SummaryEnds => {
            "Thank you for participating in AI Civic Duty!\nYour responses contribute to improving AI-human collaboration.\n\n[Connection will now close]"
        }
        Phrase::MailSubject => "Civic Voice AI - Verification Code",
        Phrase::MailBody => {
            "Your verification code is: {code}\n\nType it where you were asked for it. It will expire in {minutes} minutes.\n\nIf you did not ask for this code, you need not do anything.\n"
        }
        _ => return None,
    })
}

/// What is the same in all built-in locales.
const fn either(phrase: Phrase) -> &'static str {
    match phrase {
        Phrase::Option => "  {n}) {option}",
        Phrase::AnyNumber => "a number",
        Phrase::WholeNumber => "a whole number",
        Phrase::AtLeast => "{number} of at least {min}",
        Phrase::AtMost => "{number} of at most {max}",
        Phrase::Between => "{number} from {min} to {max}",
        Phrase::Yes => "Yes",
        Phrase::No => "No",
        Phrase::TooFast => {
            "That was too fast, and was not looked at. Please wait a moment and send it again."
        }
        Phrase::Session => "Session: {session}",
        Phrase::Back => "Welcome back. We go on where we stopped.\n\n{prompt}",
        Phrase::SpokenWelcome => {
            "This is a short survey with {count} questions. Say repeat to hear a question again, or stop to end. {question}"
        }
        Phrase::SpokenOptions => "{question} You can say: {options}.",
        Phrase::SpokenNoted => "Thank you. {question}",
        Phrase::SpokenAgain => "I did not get that. Please say {answer}. {question}",
        Phrase::SpokenYesNo => "yes or no",
        Phrase::SpokenWords => "it in a few words",
        Phrase::SpokenEnd => {
            "That was the last question. Your answers are stored. Thank you, and goodbye."
        }
        Phrase::SpokenGoodbye => "All right, we stop here, and nothing is stored. Goodbye.",
        // a phrase that a locale forgets is asked to be repeated rather than left out
        _ => "Please try again.",
    }
}

/// In words of our own.
pub(super) const fn plain(dialect: Dialect, phrase: Phrase) -> &'static str {
    match (phrase, dialect) {
        (Phrase::Welcome, Dialect::V3c) => {
            "Hello. This is a short survey for AI agents and for people.\n\n\
             Everybody answers once, so we ask for an e-mail address and a code that we send there.\n\
             Ask for the code first: POST {\"email\": \"you@example.com\"} to /request-code.\n\n\
             When you have it, type your e-mail address. Type 'quit' at any time to leave."
        }
        (Phrase::Welcome, Dialect::V1) => {
            "Hello. This is a short survey for AI agents and for people.\n\n\
             Everybody answers once, so please type your e-mail address. We will send a code there."
        }
        (Phrase::Goodbye, _) => "Goodbye.",
        (Phrase::BadEmail, _) => {
            "That does not look like an e-mail address. Please type one such as you@example.com:"
        }
        (Phrase::NoCode, _) => {
            "There is no code for {email} that still counts. Ask for one with POST /request-code, then type the address again:"
        }
        (Phrase::CodeSent, _) => "We have sent a code to {email}. Please type it:",
        (Phrase::CodeNotSent, _) => {
            "The mail with the code could not be sent. Please type the address again in a while, or another one:"
        }
        (Phrase::TooManyCodes, _) => {
            "Too many codes were asked for. Please come back later, or type another address:"
        }
        (Phrase::CodeExpired, _) => "That code is too old. Please type your address again:",
        (Phrase::WrongCode, _) => "That is another code. You may try again {left} times:",
        (Phrase::CodeBurned, _) => {
            "That was wrong too often, and the code counts no more. Please type your address again:"
        }
        (Phrase::NoSurvey, _) => {
            "Thank you, that is the code. Nothing is being asked at the moment. Type anything to look again, or 'quit' to leave."
        }
        (Phrase::Closed, _) => "Nothing is being asked at the moment. Please come back later.",
        (Phrase::Already, _) => {
            "Thank you, that is the code. You have answered this survey already, and everybody answers once."
        }
        (Phrase::Verified, _) => "Thank you, that is the code. Let us begin.\n\n{question}",
        (Phrase::Asked, _) => "{n}/{count} {question}",
        (Phrase::Recorded, _) => "Noted.\n\n{question}",
        (Phrase::NotYesNo, _) => "Please answer with y or n.\n\n{question}",
        (Phrase::NotChoice, _) => {
            "Please answer with a number from 1 to {count}, or with the words of an option.\n\n{question}"
        }
        (Phrase::NotNumber, _) => "Please answer with {range}.\n\n{question}",
        (Phrase::NotText, _) => "Please answer with at most {count} characters.\n\n{question}",
        (Phrase::SummaryOpens, _) => "That was all. Your answers:\n\n",
        (Phrase::SummaryAnswer, _) => "{n}. {question}\n   {answer}\n",
        (Phrase::SummaryEnds, _) => "\nThey are stored. Thank you.",
        (Phrase::Over, _) => "All is said. Type 'quit' to leave.",
        (Phrase::Failed, _) => "That did not work. Please send the same again.",
        (Phrase::Inactive, _) => "Closing. Goodbye.",
        (Phrase::MailSubject, _) => "Your code for our survey",
        (Phrase::MailBody, _) => {
            "Your code is {code}. It counts for {minutes} minutes.\n\nThe survey is at {url}\n\nWithout you nothing happens: if you have not asked for this code, leave it.\n"
        }
        (other, _) => either(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_phrase_is_forgotten() {
        let forgotten = "Please try again.";
        for phrase in Phrase::ALL {
            for dialect in Dialect::ALL {
                assert_ne!(compat(dialect, phrase), forgotten, "{phrase:?}");
                assert_ne!(plain(dialect, phrase), forgotten, "{phrase:?}");
            }
        }
    }

    #[test]
    fn prompts_of_the_protocol_end_in_a_colon() {
        for dialect in Dialect::ALL {
            for phrase in [
                Phrase::Welcome,
                Phrase::BadEmail,
                Phrase::CodeSent,
                Phrase::CodeNotSent,
                Phrase::TooManyCodes,
                Phrase::CodeExpired,
                Phrase::WrongCode,
                Phrase::CodeBurned,
            ] {
                assert!(compat(dialect, phrase).ends_with(':'), "{phrase:?}");
            }
        }
    }
}
