//! What is sent is what is received, however the connection cuts it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use prost::Message;
use tonic::body::Body;
use tonic::{Code, Status};

use super::payload::{Bulk, encode};
use super::{LIMIT, Receiving, Sending};
use crate::batches::{batch, batches};
use crate::proto::{self, Done, Order, ToReplica, ToServer};

/// Frames that are there already.
struct Frames(VecDeque<Frame<Bytes>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn receiving<M: Message + Default>(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Receiving<M> {
    Receiving::new(Body::new(Frames(frames.into_iter().collect())))
}

/// A server's body, frame by frame.
async fn sent<M: Bulk>(messages: Vec<M>) -> (Vec<Bytes>, Option<HeaderMap>) {
    let (sender, outgoing) = batches();
    assert!(sender.send(batch(messages)).is_ok());
    drop(sender);
    let (mut body, mut frames) = (Sending::response(outgoing), Vec::new());
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        match frame.expect("trailers come last").expect("it can be sent").into_data() {
            Ok(data) => frames.push(data),
            Err(frame) => return (frames, frame.into_trailers().ok()),
        }
    }
}

fn data(length: usize) -> Bytes {
    (0..length).map(|byte| byte as u8).collect()
}

/// Every kind of message that carries a payload, and one that does not.
async fn check_all(length: usize) {
    let chunk = proto::Chunk { section: 3, data: data(length) };
    let commit = proto::Commit { sequence: 7, variables: vec![1, 2], ..proto::Commit::default() };
    let messages = [
        ToServer { message: Some(proto::to_server::Message::Commit(commit.clone())) },
        ToServer { message: Some(proto::to_server::Message::Chunk(chunk)) },
        ToServer { message: Some(proto::to_server::Message::Commit(commit)) },
    ];
    check(messages.to_vec()).await;
    let values = proto::Values {
        generation: 1,
        global_step: -1,
        part: 2,
        offset: 3,
        data: data(length),
        last: true,
        full: false,
    };
    let values = proto::to_replica::Message::Values(values);
    check(vec![ToReplica { ticket: None, message: Some(values) }; 2]).await;
    let tensor = proto::Tensor { tensor: 5, data: data(length) };
    let restore = proto::order::Order::Restore(tensor.clone());
    check(vec![Order { number: 9, order: Some(restore) }; 2]).await;
    check(vec![Done { number: 9, done: Some(proto::done::Done::Saved(tensor)) }; 2]).await;
}

async fn check<M: Bulk + PartialEq + Clone + std::fmt::Debug>(messages: Vec<M>) {
    for message in &messages {
        let mut whole = BytesMut::new();
        let payload = encode(message.clone(), &mut whole).expect("it is small enough");
        whole.put(payload);
        let length = u32::from_be_bytes(whole[1..5].try_into().expect("four bytes"));
        assert_eq!((whole[0], length as usize), (0, whole.len() - 5));
        assert_eq!(M::decode(&whole[5..]).as_ref(), Ok(message), "it is no ordinary encoding");
    }
    let (frames, trailers) = sent(messages.clone()).await;
    assert_eq!(trailers.and_then(|it| Status::from_header_map(&it)).expect("one").code(), Code::Ok);
    let whole = frames.concat();
    // As they were sent, in one, and cut where a connection's windows may end.
    let cuts = [1, 7, 1000, 1024, 4099, whole.len()];
    let cut = |size: usize| whole.chunks(size).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    for frames in cuts.map(cut).into_iter().chain([frames]) {
        let mut incoming = receiving(frames.into_iter().map(Frame::data));
        for expected in &messages {
            assert_eq!(incoming.message().await.expect("one comes").as_ref(), Some(expected));
        }
        assert_eq!(incoming.message().await.expect("a good end"), None);
    }
}

#[tokio::test]
async fn messages_come_as_they_were_sent() {
    for length in [0, 1, 8191, 8192, 300_000] {
        check_all(length).await;
    }
}

/// A payload is neither copied into a frame nor out of it.
#[tokio::test]
async fn a_payload_stays_in_its_own_memory() {
    let own = data(100_000);
    let chunk = proto::Chunk { section: 0, data: own.clone() };
    let message = ToServer { message: Some(proto::to_server::Message::Chunk(chunk)) };
    let (frames, _) = sent(vec![message]).await;
    assert_eq!(frames.last().map(|frame| frame.as_ptr()), Some(own.as_ptr()));
    let mut incoming = receiving::<ToServer>(frames.into_iter().map(Frame::data));
    let got = incoming.message().await.expect("one comes").and_then(|it| it.message);
    let Some(proto::to_server::Message::Chunk(chunk)) = got else { panic!("no chunk: {got:?}") };
    assert_eq!(chunk.data.as_ptr(), own.as_ptr());
}

async fn refuse(frames: Vec<Frame<Bytes>>, code: Code, words: &str) {
    let refused = receiving::<ToServer>(frames).message().await.expect_err("it is no message");
    assert_eq!(refused.code(), code, "{refused}");
    assert!(refused.message().contains(words), "{refused}");
}

#[tokio::test]
async fn what_is_no_message_is_refused_with_words() {
    let bytes = |bytes: &[u8]| Frame::data(Bytes::copy_from_slice(bytes));
    let long = [&[0][..], &(LIMIT as u32 + 1).to_be_bytes()].concat();
    let ended = "ended within a message";
    let mut trailers = HeaderMap::new();
    Status::aborted("the other side's words").add_header(&mut trailers).expect("good words");
    let cases = [
        (vec![bytes(&[0, 0])], Code::Internal, ended),
        (vec![bytes(&[0, 0, 0, 0, 2])], Code::Internal, ended),
        (vec![bytes(&[0, 0, 0, 0, 2, 8])], Code::Internal, ended),
        (vec![bytes(&[1, 0, 0, 0, 0])], Code::Unimplemented, "expected no compression"),
        (vec![bytes(&long)], Code::OutOfRange, "at most 4194304 bytes, got 4194305"),
        (vec![bytes(&[0, 0, 0, 0, 1, 0xFF])], Code::Internal, "expected a message"),
        (vec![Frame::trailers(trailers)], Code::Aborted, "the other side's words"),
    ];
    for (frames, code, words) in cases {
        refuse(frames, code, words).await;
    }
    let chunk = proto::Chunk { section: 0, data: data(LIMIT) };
    let message = ToServer { message: Some(proto::to_server::Message::Chunk(chunk)) };
    let refused = encode(message, &mut BytesMut::new()).expect_err("it is too long");
    assert_eq!(refused.code(), Code::OutOfRange);
}
