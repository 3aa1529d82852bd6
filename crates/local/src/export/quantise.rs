//! Linear layers with 8-bit weights, one scale per output channel.
//! The encoder and decoder graphs are made of them.
//! It never quantises activations: ONNX Runtime does that as it runs.

use super::{
    ct2::Tensor,
    onnx::{Element, Graph, contrib},
};

/// How weights are stored. Both mean the same numbers; processors differ in which is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WeightType {
    /// Signed: fastest where the processor has VNNI dot products.
    Signed,
    /// Offset by 128: for x86 without VNNI, whose signed kernels add pairs of products in 16 bits
    /// and saturate.
    Unsigned,
}

impl WeightType {
    /// The type for the processor this runs on.
    pub(crate) fn of_this_processor() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if std::is_x86_feature_detected!("avx512vnni")
                || std::is_x86_feature_detected!("avxvnni")
            {
                Self::Signed
            } else {
                Self::Unsigned
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Self::Signed
        }
    }
}

/// A matrix in 8 bits, transposed to `[inputs, outputs]`, one scale per output.
pub(crate) struct Quantised {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) values: Vec<i8>,
    pub(crate) scales: Vec<f32>,
}

/// Quantises `weight`, `[outputs, inputs]` row-major: symmetric, the largest value of a row is 127.
pub(crate) fn quantise(weight: &Tensor) -> Quantised {
    let inputs = weight.dims.last().copied().unwrap_or(1);
    let outputs = weight.data.len() / inputs;
    let mut values = vec![0i8; weight.data.len()];
    let mut scales = vec![0f32; outputs];
    for (output, row) in weight.data.chunks_exact(inputs).enumerate() {
        let largest = row
            .iter()
            .fold(0f32, |largest, value| largest.max(value.abs()));
        // a row of zeros keeps a harmless scale
        let scale = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        scales[output] = scale;
        for (input, value) in row.iter().enumerate() {
            values[input * outputs + output] = (value / scale).round() as i8;
        }
    }
    Quantised {
        inputs,
        outputs,
        values,
        scales,
    }
}

impl Graph {
    /// `x · weightᵀ + bias` in 8 bits; `x` is f32 `[.., inputs]`, quantised as it arrives.
    pub(crate) fn linear(
        &mut self,
        x: &str,
        weight: &Tensor,
        bias: &[f32],
        kind: WeightType,
    ) -> String {
        let output = self.fresh("linear");
        let bias = self.weights_f32(&[bias.len()], bias);
        self.multiply(&output, [x, &bias], weight, kind);
        output
    }

    /// As [`linear`](Self::linear) without bias, into a value named by the caller.
    pub(crate) fn linear_into(&mut self, output: &str, x: &str, weight: &Tensor, kind: WeightType) {
        self.multiply(output, [x, ""], weight, kind);
    }

    fn multiply(&mut self, output: &str, [x, bias]: [&str; 2], weight: &Tensor, kind: WeightType) {
        let quantised = quantise(weight);
        let dims = [quantised.inputs, quantised.outputs];
        let (weight, zero) = match kind {
            WeightType::Signed => {
                let bytes: Vec<u8> = quantised.values.iter().map(|value| *value as u8).collect();
                (self.initializer(Element::I8, &dims, &bytes), String::new())
            }
            WeightType::Unsigned => {
                let bytes: Vec<u8> = quantised
                    .values
                    .iter()
                    .map(|value| (*value as u8) ^ 0x80)
                    .collect();
                let zeros = vec![128u8; quantised.outputs];
                let zero = self.initializer(Element::U8, &[quantised.outputs], &zeros);
                (self.initializer(Element::U8, &dims, &bytes), zero)
            }
        };
        let scales = self.weights_f32(&[quantised.outputs], &quantised.scales);
        self.node_with_outputs(
            contrib("DynamicQuantizeMatMul"),
            &[x, &weight, &scales, &zero, bias],
            &[output],
            &[],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_uses_the_full_range_and_comes_back_within_half_a_step() {
        let data: Vec<f32> = (0..12)
            .map(|i| (i as f32 - 5.3) * 10f32.powi(i / 4))
            .collect();
        let weight = Tensor {
            dims: vec![3, 4],
            data: data.clone(),
        };
        let quantised = quantise(&weight);
        assert_eq!((quantised.inputs, quantised.outputs), (4, 3));
        for output in 0..3 {
            let column: Vec<i8> = (0..4).map(|i| quantised.values[i * 3 + output]).collect();
            assert_eq!(column.iter().map(|v| v.unsigned_abs()).max(), Some(127));
            for (input, value) in column.iter().enumerate() {
                let back = f32::from(*value) * quantised.scales[output];
                let error = (back - data[output * 4 + input]).abs();
                assert!(error <= quantised.scales[output] * 0.5001, "error {error}");
            }
        }
    }
}
