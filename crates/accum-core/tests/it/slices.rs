//! Indexed slices by themselves: checked when they are made, and kept through serialization.

use accum_core::{IndexedSlices, SlicesError};
use ndarray::{ArrayD, array};

use crate::sparse::{column, raw};

#[test]
fn slices_are_checked_when_made() {
    // R-9
    let two = || ArrayD::<f32>::ones(&[2, 3][..]);
    let new = |indices: &[i64], dense_shape: Option<&[i64]>| {
        IndexedSlices::new(indices.to_vec(), two(), dense_shape.map(<[_]>::to_vec)).err()
    };
    assert_eq!(new(&[5, 1], None), None);
    assert_eq!(new(&[5, 5], Some(&[-1, 3])), None);
    assert_eq!(new(&[5], None), Some(SlicesError::RowsMismatch { indices: 1, rows: 2 }));
    let range = |position, index, rows| SlicesError::IndexOutOfRange { position, index, rows };
    assert_eq!(new(&[5, -1], None), Some(range(1, -1, None)));
    assert_eq!(new(&[6, 1], Some(&[6, 3])), Some(range(0, 6, Some(6))));
    for misfit in [&[6, 2][..], &[6], &[6, 3, 1], &[]] {
        assert!(matches!(new(&[5, 1], Some(misfit)), Some(SlicesError::DenseShape { .. })));
    }
    let matrix = array![[0, 1]];
    let error = IndexedSlices::from_arrays(matrix, two(), None).expect_err("not a vector");
    assert_eq!(error, SlicesError::IndicesRank { got: 2 });
    assert!(IndexedSlices::from_arrays(array![0, 1], two(), None).is_ok());
    let odd = raw(&[1, 1], ArrayD::ones(&[1, 3][..]), None);
    assert!(odd.clone().canonical().is_err() && odd.to_dense(9).is_err());
    assert_eq!(column(&[1], &[1.0]).to_dense(1), Err(range(0, 1, Some(1))));
    // More rows than memory can hold are refused before memory is asked for them.
    for rows in [usize::MAX, usize::MAX / 2 + 1] {
        let row_shape = vec![1];
        let too_large = SlicesError::TooLarge { rows, row_shape };
        assert_eq!(column(&[1], &[1.0]).to_dense(rows), Err(too_large));
    }
}

#[cfg(feature = "serde")]
#[test]
fn slices_and_outcomes_survive_serde() -> Result<(), Box<dyn std::error::Error>> {
    use accum_core::Applied;
    let slices = raw(&[4, 1], array![[1.5], [2.5]].into_dyn(), Some(&[9, 1]));
    let text = serde_json::to_string(&slices)?;
    assert_eq!(serde_json::from_str::<IndexedSlices<f32>>(&text)?, slices);
    let applied = Applied::Stale { local_step: 3.into(), global_step: 4.into() };
    let text = serde_json::to_string(&applied)?;
    assert_eq!(text, r#"{"Stale":{"local_step":3,"global_step":4}}"#);
    assert_eq!(serde_json::from_str::<Applied>(&text)?, applied);
    Ok(())
}
