//! The handwritten digits as tensors, and how well a trained module reads them.

use candle_core::{D, Device, Module, Tensor};
use sync_replicas_candle::CandleError;
use tabular::data::{Choices, Content, Dataset, Examples, TestRows};

/// Images, n x 64 numbers in 0 to 1, and which digit each is.
pub type Digits = (Tensor, Tensor);

/// What is trained with, and what is tested with.
pub fn read() -> Result<(Digits, Digits), Box<dyn std::error::Error>> {
    let content = Content::of_bytes(tabular::DIGITS, "the digits")?;
    let choices = Choices { target: "digit".to_owned(), ..Choices::default() };
    let data = Dataset::new(content, &choices, TestRows::OfTheFile)?;
    let (train, test) = (data.train.len(), data.test.len());
    let train = data.train.reader()?.examples(0..train)?;
    let test = data.test.reader()?.examples(0..test)?;
    Ok((tensors(&train)?, tensors(&test)?))
}

fn tensors(examples: &Examples) -> candle_core::Result<Digits> {
    let numbers: Vec<f32> = examples.numbers().iter().copied().collect();
    let digits: Vec<u32> = examples.targets().iter().map(|&digit| digit as u32).collect();
    let images = Tensor::from_vec(numbers, (examples.len(), 64), &Device::Cpu)?;
    Ok((images, Tensor::from_vec(digits, examples.len(), &Device::Cpu)?))
}

/// The part of the digits that a module reads right.
pub fn accuracy(net: &impl Module, (images, digits): &Digits) -> Result<f64, CandleError> {
    let read = net.forward(images)?.argmax(D::Minus1)?;
    let right = read.eq(digits)?.to_dtype(candle_core::DType::F64)?;
    Ok(right.mean_all()?.to_scalar()?)
}
