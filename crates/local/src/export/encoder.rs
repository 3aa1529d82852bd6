//! The Whisper encoder as a graph: sound in, keys and values for every decoder layer out.
//! Called once by the export.
//! It never fixes the length of the sound: positions are cut to what arrives, which is what makes
//! a short clip cheap.
//!
//! Input `mel` f32 `[batch, 80, frames]`, `frames` even and at most 3000. Outputs `cross_key_i` and
//! `cross_value_i` for i in 0..4, f32 `[batch, 6, frames / 2, 64]`.

use super::{
    ct2::{Tensor, Weights},
    layers::{HEAD_WIDTH, HEADS, LAYERS, Layers, WIDTH, heads},
    onnx::{Attribute, Dim, Element, Graph, contrib, onnx},
    quantise::WeightType,
};
use crate::LocalError;

/// Bins of the mel spectrogram.
const BINS: i64 = 80;

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
    let mel = layers.graph.input(
        "mel",
        Element::F32,
        &[Dim::Named("batch"), Dim::Fixed(BINS), Dim::Named("frames")],
    );
    let x = convolution(&mut layers, &mel, "encoder/conv1", 1)?;
    let x = convolution(&mut layers, &x, "encoder/conv2", 2)?;
    let x = layers.graph.node(
        onnx("Transpose"),
        &[&x],
        &[("perm", Attribute::Ints(vec![0, 2, 1]))],
    );
    let x = add_positions(&mut layers, &x)?;

    let mut stream = layers.start(x, "encoder/layer_0/self_attention/layer_norm")?;
    for layer in 0..LAYERS {
        let block = format!("encoder/layer_{layer}");
        let [query, key, value] = layers.query_key_value(&stream.normal, &block)?;
        let attended = layers.graph.node(
            contrib("MultiHeadAttention"),
            &[&query, &key, &value],
            &[heads()],
        );
        let attended = layers.linear(&attended, &format!("{block}/self_attention/linear_1"))?;
        stream = layers.add(&stream, &attended, &format!("{block}/ffn/layer_norm"))?;
        let wide = layers.feed_forward(&stream.normal, &block)?;
        let next = if layer + 1 < LAYERS {
            format!("encoder/layer_{}/self_attention/layer_norm", layer + 1)
        } else {
            "encoder/layer_norm".to_owned()
        };
        stream = layers.add(&stream, &wide, &next)?;
    }
    cross_keys_and_values(&mut layers, &stream.normal)?;
    Ok(layers.graph)
}

fn convolution(
    layers: &mut Layers,
    x: &str,
    name: &str,
    stride: i64,
) -> Result<String, LocalError> {
    let weight = layers.weights.read(&format!("{name}/weight"))?;
    let bias = layers.weights.read(&format!("{name}/bias"))?;
    let weight = layers.graph.weights_f32(&weight.dims, &weight.data);
    let bias = layers.graph.weights_f32(&bias.dims, &bias.data);
    let x = layers.graph.node(
        onnx("Conv"),
        &[x, &weight, &bias],
        &[
            ("kernel_shape", Attribute::Ints(vec![3])),
            ("pads", Attribute::Ints(vec![1, 1])),
            ("strides", Attribute::Ints(vec![stride])),
        ],
    );
    Ok(layers.graph.node(onnx("Gelu"), &[&x], &[]))
}

/// Adds the first `S` position encodings to `x`, `[batch, S, width]`.
fn add_positions(layers: &mut Layers, x: &str) -> Result<String, LocalError> {
    let positions = layers
        .weights
        .read("encoder/position_encodings/encodings")?;
    let graph = &mut layers.graph;
    let positions = graph.weights_f32(&positions.dims, &positions.data);
    let length = graph.node(
        onnx("Shape"),
        &[x],
        &[("start", Attribute::Int(1)), ("end", Attribute::Int(2))],
    );
    let (first, axis) = (graph.integers(&[0]), graph.integers(&[0]));
    let positions = graph.node(onnx("Slice"), &[&positions, &first, &length, &axis], &[]);
    Ok(graph.node(onnx("Add"), &[x, &positions], &[]))
}

/// Every decoder layer attends to the same encoder output, so its keys and values are computed here,
/// once, in one multiplication.
fn cross_keys_and_values(layers: &mut Layers, x: &str) -> Result<(), LocalError> {
    let mut stacked = Tensor {
        dims: vec![LAYERS * 2 * WIDTH, WIDTH],
        data: Vec::new(),
    };
    let mut bias = Vec::new();
    for layer in 0..LAYERS {
        let name = format!("decoder/layer_{layer}/attention/linear_1");
        stacked
            .data
            .extend(layers.weights.read(&format!("{name}/weight"))?.data);
        bias.extend(layers.weights.read(&format!("{name}/bias"))?.data);
    }
    let graph = &mut layers.graph;
    let all = graph.linear(x, &stacked, &bias, layers.kind);
    // 0 keeps the size of the input: batch, and positions
    let shape = graph.integers(&[0, 0, (LAYERS * 2 * HEADS) as i64, HEAD_WIDTH as i64]);
    let all = graph.node(onnx("Reshape"), &[&all, &shape], &[]);
    let all = graph.node(
        onnx("Transpose"),
        &[&all],
        &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))],
    );
    let names: Vec<String> = (0..LAYERS)
        .flat_map(|layer| [format!("cross_key_{layer}"), format!("cross_value_{layer}")])
        .collect();
    let outputs: Vec<&str> = names.iter().map(String::as_str).collect();
    graph.node_with_outputs(
        onnx("Split"),
        &[&all],
        &outputs,
        &[
            ("axis", Attribute::Int(1)),
            ("num_outputs", Attribute::Int(LAYERS as i64 * 2)),
        ],
    );
    for name in &outputs {
        graph.output(name, Element::F32, &cross_dims());
    }
    Ok(())
}

/// Dimensions of a cross key or value.
pub(crate) fn cross_dims() -> [Dim; 4] {
    [
        Dim::Named("batch"),
        Dim::Fixed(HEADS as i64),
        Dim::Named("positions"),
        Dim::Fixed(HEAD_WIDTH as i64),
    ]
}
