//! The gRPC service: each call handed to the node.

use std::sync::Arc;

use sync_replicas::Scalar;
use sync_replicas::engine::StopReason;
use tonic::{Request, Response, Status, Streaming};

use super::node::{Node, lock};
use super::posts::Sent;
use crate::batches::Batches;
use crate::proto::cluster_server::Cluster;
use crate::proto::control_request::Action;
use crate::proto::{
    ControlReply, ControlRequest, Done, Order, StatusReply, StatusRequest, ToServer,
};

/// One parameter server as a service.
pub(super) struct Service<T: Scalar>(pub(super) Arc<Node<T>>);

#[tonic::async_trait]
impl<T: Scalar + bytemuck::Pod> Cluster for Service<T> {
    type TrainStream = Batches<Sent>;
    type ServeStream = Batches<Result<Done, Status>>;

    async fn train(
        &self,
        request: Request<Streaming<ToServer>>,
    ) -> Result<Response<Self::TrainStream>, Status> {
        Arc::clone(&self.0).train(request.into_inner()).await.map(Response::new)
    }

    async fn serve(
        &self,
        request: Request<Streaming<Order>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        Arc::clone(&self.0).serve_link(request.into_inner()).await.map(Response::new)
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusReply>, Status> {
        let json = serde_json::to_string(&self.0.status())
            .map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(StatusReply { json }))
    }

    async fn control(
        &self,
        request: Request<ControlRequest>,
    ) -> Result<Response<ControlReply>, Status> {
        let Some(hub) = &self.0.hub else {
            return Err(Status::failed_precondition("ask ps 0, which coordinates"));
        };
        let message = match request.into_inner().action {
            Some(Action::Stop(reason)) => {
                self.0.stop(StopReason::Requested(reason));
                "training ends"
            }
            Some(Action::Save(true)) => {
                self.0.begin_save(&mut lock(hub));
                "a checkpoint is being written"
            }
            _ => return Err(Status::invalid_argument("expected `stop` with a reason, or `save`")),
        };
        Ok(Response::new(ControlReply { message: message.to_owned() }))
    }
}
