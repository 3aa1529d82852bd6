//! The parts encoder and decoder share: normalised residual blocks and attention.
//! `encoder` and `decoder` stack them.
//! It never decides shapes of inputs and outputs of a graph.

use super::{
    ct2::Weights,
    onnx::{Attribute, Graph, onnx},
    quantise::WeightType,
};
use crate::LocalError;

/// Width of every layer of tiny.en.
pub(crate) const WIDTH: usize = 384;
/// Attention heads of tiny.en; each is `WIDTH / HEADS` wide.
pub(crate) const HEADS: usize = 6;
/// Width of one attention head.
pub(crate) const HEAD_WIDTH: usize = WIDTH / HEADS;
/// Blocks in the encoder, and in the decoder, of tiny.en.
pub(crate) const LAYERS: usize = 4;
/// Whisper's layer norm epsilon (`CTranslate2` and `PyTorch` default).
const EPSILON: f32 = 1e-5;

/// Builds layers into a graph from the weights of one model.
pub(crate) struct Layers<'a> {
    pub(crate) graph: Graph,
    pub(crate) weights: &'a Weights,
    pub(crate) kind: WeightType,
}

/// A residual stream: the sum so far, and what it looks like to the next layer.
pub(crate) struct Stream {
    /// The sum of everything added so far.
    pub(crate) sum: String,
    /// `sum`, layer-normalised for the next layer.
    pub(crate) normal: String,
}

impl Layers<'_> {
    /// Starts a residual stream at `x`, normalised by the layer norm `norm`.
    pub(crate) fn start(&mut self, x: String, norm: &str) -> Result<Stream, LocalError> {
        let normal = self.normalise(&x, norm)?;
        Ok(Stream { sum: x, normal })
    }

    /// Adds `x` to the stream and normalises for the next layer by the layer norm `norm`.
    pub(crate) fn add(
        &mut self,
        stream: &Stream,
        x: &str,
        norm: &str,
    ) -> Result<Stream, LocalError> {
        // not SkipLayerNormalization, which does both at once but takes four times as long over
        // many positions (ONNX Runtime 1.31, measured); sessions must not fuse them either
        let sum = self.graph.node(onnx("Add"), &[x, &stream.sum], &[]);
        self.start(sum, norm)
    }

    fn normalise(&mut self, x: &str, norm: &str) -> Result<String, LocalError> {
        let (gamma, beta) = self.norm(norm)?;
        Ok(self.graph.node(
            onnx("LayerNormalization"),
            &[x, &gamma, &beta],
            &[
                ("axis", Attribute::Int(-1)),
                ("epsilon", Attribute::Float(EPSILON)),
            ],
        ))
    }

    fn norm(&mut self, name: &str) -> Result<(String, String), LocalError> {
        let gamma = self.weights.read(&format!("{name}/gamma"))?;
        let beta = self.weights.read(&format!("{name}/beta"))?;
        Ok((
            self.graph.weights_f32(&gamma.dims, &gamma.data),
            self.graph.weights_f32(&beta.dims, &beta.data),
        ))
    }

    /// The linear layer `name` applied to `x`.
    pub(crate) fn linear(&mut self, x: &str, name: &str) -> Result<String, LocalError> {
        let weight = self.weights.read(&format!("{name}/weight"))?;
        let bias = self.weights.read(&format!("{name}/bias"))?;
        Ok(self.graph.linear(x, &weight, &bias.data, self.kind))
    }

    /// The feed-forward part of block `block`, applied to a normalised stream.
    pub(crate) fn feed_forward(&mut self, x: &str, block: &str) -> Result<String, LocalError> {
        let wide = self.linear(x, &format!("{block}/ffn/linear_0"))?;
        let wide = self.graph.node(onnx("Gelu"), &[&wide], &[]);
        self.linear(&wide, &format!("{block}/ffn/linear_1"))
    }

    /// Query, key and value of a self-attention, from one stacked linear layer.
    pub(crate) fn query_key_value(
        &mut self,
        x: &str,
        block: &str,
    ) -> Result<[String; 3], LocalError> {
        let stacked = self.linear(x, &format!("{block}/self_attention/linear_0"))?;
        let parts = ["query", "key", "value"].map(|stem| self.graph.fresh(stem));
        self.graph.node_with_outputs(
            onnx("Split"),
            &[&stacked],
            &[&parts[0], &parts[1], &parts[2]],
            &[
                ("axis", Attribute::Int(-1)),
                ("num_outputs", Attribute::Int(3)),
            ],
        );
        Ok(parts)
    }
}

/// Attributes of every attention node.
pub(crate) fn heads() -> (&'static str, Attribute) {
    ("num_heads", Attribute::Int(HEADS as i64))
}
