//! The calls of the gRPC service, each handed to its receiver.

use std::future::{Ready, ready};
use std::sync::Arc;

use prost::Message;
use sync_replicas::Scalar;
use sync_replicas::engine::StopReason;
use tonic::body::Body;
use tonic::server::Grpc;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::process::Server;
use super::replica_stream;
use super::status::ServerStatus;
use super::transport::{Answering, Calls};
use crate::proto::control_request::Action;
use crate::proto::{
    ControlReply, ControlRequest, RecordRequest, Recorded, StatusReply, StatusRequest,
};
use crate::{stream, wire};

impl<T: Scalar> Calls for Server<T> {
    fn call(self: Arc<Self>, request: http::Request<Body>) -> Answering {
        Box::pin(async move {
            Ok(match method(&request) {
                "Train" => stream::answer(request, |it| replica_stream::train(self, it)).await,
                "Serve" => stream::answer(request, |it| self.follow(it)).await,
                "Status" => once(request, move |_: StatusRequest| reply(&self.status())).await,
                "Record" => once(request, move |it: RecordRequest| recorded(&self, it)).await,
                "Control" => once(request, move |it: ControlRequest| control(&self, it)).await,
                method => unknown(method),
            })
        })
    }
}

/// The method of a call, if there is one of that name.
pub(super) fn method(request: &http::Request<Body>) -> &'static str {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default();
    let methods = ["Train", "Serve", "Status", "Record", "Control"];
    methods.into_iter().find(|it| *it == name).unwrap_or_default()
}

/// The answer to an unknown method.
pub(super) fn unknown(path: &str) -> http::Response<Body> {
    Status::unimplemented(format!("there is no method {path}")).into_http()
}

/// A call with one message and one answer.
pub(super) async fn once<Q, A>(
    request: http::Request<Body>,
    answer: impl Fn(Q) -> Result<A, Status> + Clone + Send,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let service = service_fn(|request: Request<Q>| -> Ready<Result<Response<A>, Status>> {
        ready(answer(request.into_inner()).map(Response::new))
    });
    Grpc::new(ProstCodec::<A, Q>::default())
        .apply_max_message_size_config(Some(stream::LIMIT), Some(stream::LIMIT))
        .unary(service, request)
        .await
}

/// A server's status as it travels.
pub(super) fn reply(status: &ServerStatus) -> Result<StatusReply, Status> {
    let json =
        serde_json::to_string(status).map_err(|error| Status::internal(error.to_string()))?;
    Ok(StatusReply { json })
}

fn recorded<T: Scalar>(server: &Server<T>, request: RecordRequest) -> Result<Recorded, Status> {
    let cursor = request.since.unwrap_or_default().into();
    let recorded = server.recorded_since(cursor).ok_or_else(not_the_coordinator)?;
    Ok(recorded.into())
}

fn not_the_coordinator() -> Status {
    Status::failed_precondition("ask ps 0, which coordinates")
}

pub(super) fn control<T: Scalar>(
    server: &Server<T>,
    request: ControlRequest,
) -> Result<ControlReply, Status> {
    let Some(leader) = server.leader() else {
        return Err(not_the_coordinator());
    };
    let message = match request.action {
        Some(Action::Stop(reason)) => {
            let reason = StopReason::Requested(wire::reason(reason));
            leader.with(|leader| leader.stop(reason));
            "training ends"
        }
        Some(Action::Save(true)) => {
            leader.with(|leader| leader.request_save());
            "a checkpoint is written"
        }
        _ => {
            let reason = "expected `stop` with a reason, or `save`";
            server.own.counters.nonsense("a caller", reason);
            return Err(Status::invalid_argument(reason));
        }
    };
    Ok(ControlReply { message: message.to_owned() })
}
