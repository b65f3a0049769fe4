//! Row lookups of replicas, answered from the tables without the shard.

use bytes::Bytes;
use sync_replicas::Scalar;
use sync_replicas::driver::Generation;
use sync_replicas::store::Change;
use tokio::sync::OwnedSemaphorePermit;

use super::ParameterServer;
use crate::number_format::NumberFormat;
use crate::proto::to_replica::Message;
use crate::proto::{Gone, Lookup, Rows};
use crate::server::bad_message::BadMessage;
use crate::tensor::{CHUNK, byte, most_keys};

/// A valid request.
struct WantedRows {
    table: usize,
    keys: Vec<i64>,
    since: Vec<Option<i64>>,
}

impl<T: Scalar> ParameterServer<T> {
    /// The answer to a lookup: rows of exactly its step, or that they are gone. `place` is given
    /// back once all of it is on its way.
    ///
    /// # Errors
    /// It is invalid.
    pub(crate) fn look_up(
        &self,
        lookup: &Lookup,
        place: OwnedSemaphorePermit,
    ) -> Result<Box<dyn Iterator<Item = Message> + Send>, BadMessage> {
        let WantedRows { table, keys, since } = self.wanted(lookup)?;
        let (number, tag) = (lookup.number, lookup.tag);
        let at = (Generation::new(lookup.generation), lookup.global_step.into());
        let mut rows = Vec::new();
        let Ok(changes) = self.tables.changes(at, table, &keys, &since, &mut rows) else {
            // Its place is dropped too: a replica that reads no answers gets no more of them.
            return Ok(Box::new(std::iter::once_with(move || {
                let _held = &place;
                Message::Gone(Gone { number })
            })));
        };
        crash_point!("server/rows-sent");
        let row = self.tables.declared()[table].width() * self.wire.element::<T>();
        let pieces = pieces(&changes, row);
        let all = bytes_of(self.wire, rows);
        let mut from = 0;
        let messages = pieces.into_iter().map(move |(changes, changed)| {
            let _held = &place;
            let data = all.slice(from..from + changed * row);
            from += changed * row;
            Message::Rows(Rows { number, tag, changes: changes.into(), data })
        });
        Ok(Box::new(messages))
    }

    fn wanted(&self, lookup: &Lookup) -> Result<WantedRows, BadMessage> {
        let bad = |what: String| BadMessage::Lookup { what };
        let tables = self.tables.declared();
        let table = usize::try_from(lookup.table).unwrap_or(usize::MAX);
        let declared = tables.get(table);
        let declared = declared
            .ok_or_else(|| bad(format!("table {table} was asked for, of {}", tables.len())))?;
        let (keys, torn) = lookup.keys.as_chunks();
        let (ages, torn_ages) = lookup.ages.as_chunks();
        let (got, most) = (keys.len(), most_keys::<T>(declared.width()));
        if got > most || !torn.is_empty() || !torn_ages.is_empty() {
            return Err(bad(format!("expected at most {most} whole keys, got {got}")));
        }
        if !ages.is_empty() && ages.len() != got {
            return Err(bad(format!("{} ages came for {got} keys", ages.len())));
        }
        let keys: Vec<i64> = keys.iter().map(|it| i64::from_le_bytes(*it)).collect();
        if !keys.is_sorted_by(|one, other| one < other) {
            return Err(bad("its keys are not ascending, or one is there twice".to_owned()));
        }
        let servers = self.placement.shards();
        if let Some(key) = keys.iter().find(|it| declared.owner(**it, servers) != self.index.get())
        {
            return Err(bad(format!("the row of key {key} is another server's")));
        }
        let since = |n: usize| {
            let age = ages.get(n).map_or(0, |it| u32::from_le_bytes(*it));
            (age > 0).then(|| lookup.global_step.saturating_sub(i64::from(age)))
        };
        let since = (0..keys.len()).map(since).collect();
        Ok(WantedRows { table, keys, since })
    }
}

/// Cuts the changes so that the rows of each piece fit into a message, with how many have values.
fn pieces(changes: &[Change], row: usize) -> Vec<(Vec<u8>, usize)> {
    let most = (CHUNK / row.max(1)).max(1);
    let mut pieces = Vec::new();
    let (mut bytes, mut values) = (Vec::new(), 0);
    for change in changes {
        if *change == Change::Values {
            if values == most {
                pieces.push((std::mem::take(&mut bytes), values));
                values = 0;
            }
            values += 1;
        }
        bytes.push(byte(*change));
    }
    pieces.push((bytes, values));
    pieces
}

/// Numbers as they travel: their own memory, unless they are rounded.
fn bytes_of<T: Scalar>(wire: NumberFormat, numbers: Vec<T>) -> Bytes {
    struct Numbers<T>(Vec<T>);
    impl<T: bytemuck::Pod> AsRef<[u8]> for Numbers<T> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    match wire {
        NumberFormat::Native => Bytes::from_owner(Numbers(numbers)),
        NumberFormat::Bf16 => {
            let mut bytes = Vec::new();
            wire.put(&numbers, &mut bytes);
            Bytes::from(bytes)
        }
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::test_util::server_of;

    /// P-17, P-27: an invalid request is refused before anything is looked up.
    #[test]
    fn lookups_that_make_no_sense_are_refused() {
        let server = server_of(1, 2);
        let declared = server.own.tables.declared()[0].clone();
        let (own, others): (Vec<i64>, Vec<i64>) =
            (0..20).partition(|key| declared.owner(*key, 2) == 1);
        let own = &own[..3];
        let check = |keys: &[i64], change: &dyn Fn(&mut Lookup), expected: &str| {
            let mut lookup = Lookup { generation: 1, ..Lookup::default() };
            lookup.keys = keys.iter().flat_map(|key| key.to_le_bytes()).collect();
            change(&mut lookup);
            let refused = server.own.wanted(&lookup).err().map(|error| error.to_string());
            let words = refused.unwrap_or_default();
            assert_eq!(words.is_empty(), expected.is_empty(), "{words}");
            assert!(words.contains(expected), "{words}");
        };
        check(own, &|_| {}, "");
        check(own, &|it| it.ages = vec![0; 12].into(), "");
        check(&[], &|_| {}, "");
        check(&[own[1], own[0]], &|_| {}, "not ascending");
        check(&[own[0], own[0]], &|_| {}, "not ascending");
        check(&others[..1], &|_| {}, "is another server's");
        check(own, &|it| it.table = 1, "table 1 was asked for, of 1");
        check(own, &|it| it.table = u32::MAX, "was asked for, of 1");
        check(own, &|it| it.keys.truncate(23), "whole keys, got 2");
        check(own, &|it| it.ages = vec![0; 8].into(), "2 ages came for 3 keys");
        check(own, &|it| it.ages = vec![0; 11].into(), "whole keys");
        let many: Vec<i64> = (0..=most_keys::<f32>(2) as i64).collect();
        check(&many, &|_| {}, "expected at most 65536 whole keys, got 65537");
    }

    /// P-27: unread answers are counted, even those that say that rows are gone.
    #[test]
    fn an_answer_holds_its_place_until_it_is_on_its_way() {
        let server = server_of(1, 2);
        let places = Arc::new(Semaphore::new(1));
        let place = Arc::clone(&places).try_acquire_owned().expect("it is free");
        let lookup = Lookup { generation: 9, ..Lookup::default() };
        let answers = server.own.look_up(&lookup, place);
        let answers = answers.unwrap_or_else(|error| panic!("it makes sense: {error}"));
        assert_eq!(places.available_permits(), 0);
        assert_eq!(answers.count(), 1);
        assert_eq!(places.available_permits(), 1);
    }
}
