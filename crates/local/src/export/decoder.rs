//! The Whisper decoder as a graph that remembers: tokens in, scores of the next token out.
//! Called once by the export.
//! It never looks up a token: the caller embeds it, so that the embedding exists once, as the
//! 8-bit output projection.
//!
//! Inputs: `embedded` f32 `[batch, tokens, 384]` (token plus position), `wanted` i64 `[n]` (which
//! of these tokens to score), `past_key_i`, `past_value_i` f32 `[batch, 6, past, 64]`, and
//! `cross_key_i`, `cross_value_i` from the encoder. Outputs: `scores` f32 `[batch, n, 51864]`,
//! `key_i`, `value_i` f32 `[batch, 6, past + tokens, 64]`.

use super::{
    ct2::Weights,
    encoder::cross_dims,
    layers::{HEAD_WIDTH, HEADS, LAYERS, Layers, WIDTH, heads},
    onnx::{Attribute, Dim, Element, Graph, contrib, onnx},
    quantise::WeightType,
};
use crate::LocalError;

/// Builds the graph; its larger weights will be in `weights_file`.
pub(crate) fn graph(
    weights: &Weights,
    kind: WeightType,
    weights_file: &str,
) -> Result<Graph, LocalError> {
    let mut layers = Layers {
        graph: Graph::new(weights_file),
        weights,
        kind,
    };
    let batch = Dim::Named("batch");
    let x = layers.graph.input(
        "embedded",
        Element::F32,
        &[batch, Dim::Named("tokens"), Dim::Fixed(WIDTH as i64)],
    );
    layers
        .graph
        .input("wanted", Element::I64, &[Dim::Named("wanted")]);
    for layer in 0..LAYERS {
        for stem in ["past_key", "past_value"] {
            layers.graph.input(
                &format!("{stem}_{layer}"),
                Element::F32,
                &memory_dims("past"),
            );
        }
    }
    for layer in 0..LAYERS {
        for stem in ["cross_key", "cross_value"] {
            layers
                .graph
                .input(&format!("{stem}_{layer}"), Element::F32, &cross_dims());
        }
    }

    let mut stream = layers.start(x, "decoder/layer_0/self_attention/layer_norm")?;
    for layer in 0..LAYERS {
        let block = format!("decoder/layer_{layer}");
        let attended = self_attention(&mut layers, &stream.normal, layer)?;
        stream = layers.add(&stream, &attended, &format!("{block}/attention/layer_norm"))?;
        let attended = cross_attention(&mut layers, &stream.normal, layer)?;
        stream = layers.add(&stream, &attended, &format!("{block}/ffn/layer_norm"))?;
        let wide = layers.feed_forward(&stream.normal, &block)?;
        let next = if layer + 1 < LAYERS {
            format!("decoder/layer_{}/self_attention/layer_norm", layer + 1)
        } else {
            "decoder/layer_norm".to_owned()
        };
        stream = layers.add(&stream, &wide, &next)?;
    }
    scores(&mut layers, &stream.normal)?;
    Ok(layers.graph)
}

fn self_attention(layers: &mut Layers, x: &str, layer: usize) -> Result<String, LocalError> {
    let block = format!("decoder/layer_{layer}");
    let [query, key, value] = layers.query_key_value(x, &block)?;
    let attended = layers.graph.fresh("attended");
    let past = ["past_key", "past_value"].map(|stem| format!("{stem}_{layer}"));
    let next = ["key", "value"].map(|stem| format!("{stem}_{layer}"));
    layers.graph.node_with_outputs(
        contrib("MultiHeadAttention"),
        &[&query, &key, &value, "", "", "", &past[0], &past[1]],
        &[&attended, &next[0], &next[1]],
        &[heads(), ("unidirectional", Attribute::Int(1))],
    );
    for name in &next {
        layers
            .graph
            .output(name, Element::F32, &memory_dims("known"));
    }
    layers.linear(&attended, &format!("{block}/self_attention/linear_1"))
}

fn cross_attention(layers: &mut Layers, x: &str, layer: usize) -> Result<String, LocalError> {
    let block = format!("decoder/layer_{layer}");
    let query = layers.linear(x, &format!("{block}/attention/linear_0"))?;
    let (key, value) = (format!("cross_key_{layer}"), format!("cross_value_{layer}"));
    let attended = layers.graph.node(
        contrib("MultiHeadAttention"),
        &[&query, &key, &value],
        &[heads()],
    );
    layers.linear(&attended, &format!("{block}/attention/linear_2"))
}

fn scores(layers: &mut Layers, x: &str) -> Result<(), LocalError> {
    let embedding = layers.weights.read("decoder/embeddings/weight")?;
    let tokens = embedding.dims[0] as i64;
    let graph = &mut layers.graph;
    let x = graph.node(
        onnx("Gather"),
        &[x, "wanted"],
        &[("axis", Attribute::Int(1))],
    );
    graph.linear_into("scores", &x, &embedding, layers.kind);
    let (batch, wanted) = (Dim::Named("batch"), Dim::Named("wanted"));
    graph.output("scores", Element::F32, &[batch, wanted, Dim::Fixed(tokens)]);
    Ok(())
}

fn memory_dims(length: &'static str) -> [Dim; 4] {
    [
        Dim::Named("batch"),
        Dim::Fixed(HEADS as i64),
        Dim::Named(length),
        Dim::Fixed(HEAD_WIDTH as i64),
    ]
}
