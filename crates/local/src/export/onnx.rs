//! Writes ONNX graphs: a few protobuf messages by hand, weights in a file of their own.
//! The Whisper export builds its encoder and decoder with it.
//! It never reads a model and knows nothing about Whisper.
//!
//! Field numbers are those of github.com/onnx/onnx, `onnx/onnx.proto` (IR version 9).

use std::{
    io::{self, Write},
    path::Path,
};

/// Element types of `TensorProto.DataType`.
#[derive(Clone, Copy)]
pub(crate) enum Element {
    F32 = 1,
    U8 = 2,
    I8 = 3,
    I64 = 7,
}

/// One size of an input or output: fixed, or named because it changes from run to run.
#[derive(Clone, Copy)]
pub(crate) enum Dim {
    Fixed(i64),
    Named(&'static str),
}

/// A value of a node's attribute.
#[derive(Clone)]
pub(crate) enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
}

/// An operator: its name, and the domain it comes from (empty for ONNX's own).
#[derive(Clone, Copy)]
pub(crate) struct Operator {
    pub(crate) name: &'static str,
    pub(crate) domain: &'static str,
}

/// An operator of ONNX itself.
pub(crate) const fn onnx(name: &'static str) -> Operator {
    Operator { name, domain: "" }
}

/// An operator only ONNX Runtime has.
pub(crate) const fn contrib(name: &'static str) -> Operator {
    Operator {
        name,
        domain: "com.microsoft",
    }
}

/// A growing protobuf message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn int(&mut self, field: u64, value: i64) -> &mut Self {
        self.varint(field << 3);
        self.varint(value as u64);
        self
    }

    fn float(&mut self, field: u64, value: f32) -> &mut Self {
        self.varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, field: u64, text: &str) -> &mut Self {
        self.bytes(field, text.as_bytes())
    }

    fn message(&mut self, field: u64, message: &Message) -> &mut Self {
        self.bytes(field, &message.0)
    }
}

/// A graph being built. Values are names; every node has one output unless made with
/// [`Graph::node_with_outputs`].
pub(crate) struct Graph {
    /// Everything of `GraphProto` that is complete.
    body: Message,
    /// Weights, each aligned to a page so that they can be mapped.
    weights: Vec<u8>,
    weights_file: String,
    names: usize,
}

/// Alignment of each weight in the weights file: the page size that ONNX Runtime maps at.
const PAGE: usize = 4096;
/// Weights up to this many bytes stay in the graph; a page each would be waste.
const INLINE_BYTES: usize = 1024;

impl Graph {
    /// An empty graph whose larger weights go to `weights_file`, a name in the same directory.
    pub(crate) fn new(weights_file: &str) -> Self {
        Self {
            body: Message::default(),
            weights: Vec::new(),
            weights_file: weights_file.to_owned(),
            names: 0,
        }
    }

    /// Declares an input of the graph.
    pub(crate) fn input(&mut self, name: &str, element: Element, dims: &[Dim]) -> String {
        self.body.message(11, &value_info(name, element, dims));
        name.to_owned()
    }

    /// Declares the value `name` an output of the graph.
    pub(crate) fn output(&mut self, name: &str, element: Element, dims: &[Dim]) {
        self.body.message(12, &value_info(name, element, dims));
    }

    /// Adds a node; returns the name of its output. An empty input name is an input left out.
    pub(crate) fn node(
        &mut self,
        operator: Operator,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        let output = self.fresh(operator.name);
        self.node_with_outputs(operator, inputs, &[&output], attributes);
        output
    }

    /// Adds a node with outputs named by the caller. An empty output name is an output left out.
    pub(crate) fn node_with_outputs(
        &mut self,
        operator: Operator,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node.text(1, input);
        }
        for output in outputs {
            node.text(2, output);
        }
        let name = self.fresh("node");
        node.text(3, &name).text(4, operator.name);
        for (name, value) in attributes {
            node.message(5, &attribute(name, value));
        }
        if !operator.domain.is_empty() {
            node.text(7, operator.domain);
        }
        self.body.message(1, &node);
    }

    /// A name no other value has.
    pub(crate) fn fresh(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}_{}", self.names)
    }

    /// Adds f32 weights.
    pub(crate) fn weights_f32(&mut self, dims: &[usize], values: &[f32]) -> String {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.initializer(Element::F32, dims, &bytes)
    }

    /// Adds a list of integers, for shapes, axes and sizes.
    pub(crate) fn integers(&mut self, values: &[i64]) -> String {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.initializer(Element::I64, &[values.len()], &bytes)
    }

    /// Adds weights given as their little-endian bytes.
    pub(crate) fn initializer(&mut self, element: Element, dims: &[usize], bytes: &[u8]) -> String {
        let name = self.fresh("weight");
        let mut tensor = Message::default();
        for dim in dims {
            tensor.int(1, *dim as i64);
        }
        tensor.int(2, element as i64).text(8, &name);
        if bytes.len() <= INLINE_BYTES {
            tensor.bytes(9, bytes);
        } else {
            self.weights
                .resize(self.weights.len().next_multiple_of(PAGE), 0);
            for (key, value) in [
                ("location", self.weights_file.clone()),
                ("offset", self.weights.len().to_string()),
                ("length", bytes.len().to_string()),
            ] {
                let mut entry = Message::default();
                entry.text(1, key).text(2, &value);
                tensor.message(13, &entry);
            }
            tensor.int(14, 1);
            self.weights.extend_from_slice(bytes);
        }
        self.body.message(5, &tensor);
        name
    }

    /// Writes the weights to `weights` and the model to `model`, both flushed to disk.
    pub(crate) fn write(mut self, model: &Path, weights: &Path) -> io::Result<()> {
        self.body.text(2, "antiphon");
        let mut file = Message::default();
        file.int(1, 9).text(2, "antiphon");
        file.message(7, &self.body);
        for (domain, version) in [("", 20), ("com.microsoft", 1)] {
            let mut opset = Message::default();
            opset.text(1, domain).int(2, version);
            file.message(8, &opset);
        }
        write_synced(weights, &self.weights)?;
        write_synced(model, &file.0)
    }
}

/// Writes `bytes` to `path` and flushes them to disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn value_info(name: &str, element: Element, dims: &[Dim]) -> Message {
    let mut shape = Message::default();
    for dim in dims {
        let mut size = Message::default();
        match dim {
            Dim::Fixed(value) => size.int(1, *value),
            Dim::Named(symbol) => size.text(2, symbol),
        };
        shape.message(1, &size);
    }
    let mut tensor = Message::default();
    tensor.int(1, element as i64).message(2, &shape);
    let mut kind = Message::default();
    kind.message(1, &tensor);
    let mut info = Message::default();
    info.text(1, name).message(2, &kind);
    info
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let mut attribute = Message::default();
    attribute.text(1, name);
    match value {
        Attribute::Float(value) => attribute.float(2, *value).int(20, 1),
        Attribute::Int(value) => attribute.int(3, *value).int(20, 2),
        Attribute::Ints(values) => {
            for value in values {
                attribute.int(8, *value);
            }
            attribute.int(20, 7)
        }
    };
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_encoded_as_the_protobuf_rules_say() {
        let mut graph = Graph::new("w");
        let output = graph.node(onnx("Add"), &["a", "b"], &[]);
        assert_eq!(output, "Add_1");
        // field 1 (node), length 22; inputs a, b (field 1); output (2); name (3); op_type (4)
        let expected = b"\x0a\x1e\x0a\x01a\x0a\x01b\x12\x05Add_1\x1a\x06node_2\x22\x03Add";
        let mut expected = expected.to_vec();
        expected[1] = (expected.len() - 2) as u8;
        assert_eq!(graph.body.0, expected);
    }

    #[test]
    fn large_weights_start_on_a_page_and_small_ones_stay_inline() {
        let mut graph = Graph::new("w");
        graph.weights_f32(&[2], &[1.0, 2.0]);
        assert!(graph.weights.is_empty());
        graph.weights_f32(&[1000], &vec![1.0; 1000]);
        graph.weights_f32(&[1000], &vec![2.0; 1000]);
        assert_eq!(graph.weights.len(), PAGE + 4000);
        assert_eq!(graph.weights[PAGE..PAGE + 4], 2.0f32.to_le_bytes());
    }

    #[test]
    fn negative_integers_take_ten_bytes() {
        let mut message = Message::default();
        message.int(3, -1);
        assert_eq!(message.0, b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    }
}
