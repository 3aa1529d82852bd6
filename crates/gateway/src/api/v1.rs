//! The routes of `/v1` and the limits that hold for them.
//! Mounted by `api`.
//! Never answers by itself.

mod admin;
mod agents;
mod asking;
mod audio;
mod call_requests;
mod calls;
pub(crate) mod chat;
mod consents;
mod do_not_call;
mod models;
mod phone_numbers;
mod realtime;
mod rooms;
mod sessions;
mod surveys;
mod usage;
mod webhook_deliveries;
mod webhook_endpoints;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::config::Limits;

/// What a multipart body may hold beside the file, in bytes: a prompt, boundaries, field heads.
const FORM_OVERHEAD: usize = 256 * 1024;

pub(super) fn routes(limits: &Limits) -> OpenApiRouter<Arc<App>> {
    let upload = DefaultBodyLimit::max(limits.upload_bytes + FORM_OVERHEAD);
    OpenApiRouter::new()
        .routes(routes!(models::list::list))
        .routes(routes!(models::show::show))
        .routes(routes!(audio::speech::create::create))
        .routes(routes!(chat::completions::create::create))
        .routes(routes!(sessions::usage::show::show))
        .routes(routes!(rooms::tokens::create::create))
        .routes(routes!(rooms::messages::list::list))
        .routes(routes!(usage::list::list))
        .routes(routes!(agents::list::list, agents::create::create))
        .routes(routes!(
            agents::show::show,
            agents::update::update,
            agents::delete::delete
        ))
        .routes(routes!(
            admin::keys::list::list,
            admin::keys::create::create
        ))
        .routes(routes!(admin::keys::revoke::revoke))
        .routes(routes!(admin::keys::rotate::rotate))
        .merge(telephone_routes())
        .merge(tenant_routes())
        .merge(survey_routes())
        .merge(webhook_routes())
        .merge(people_routes())
        .merge(
            OpenApiRouter::new()
                .routes(routes!(audio::transcriptions::create::create))
                .layer(upload),
        )
}

fn telephone_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(calls::list::list))
        .routes(routes!(calls::show::show))
        .routes(routes!(calls::hangup::hangup))
        .routes(routes!(calls::events::events))
        .routes(routes!(calls::transfer::transfer))
        .routes(routes!(calls::recording::fetch))
        .routes(routes!(calls::recording::pause))
        .routes(routes!(calls::recording::resume))
        .routes(routes!(phone_numbers::list::list))
        .routes(routes!(
            phone_numbers::put::put,
            phone_numbers::delete::delete
        ))
}

fn tenant_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(
            admin::tenants::list::list,
            admin::tenants::create::create
        ))
        .routes(routes!(
            admin::tenants::show::show,
            admin::tenants::update::update,
            admin::tenants::delete::delete
        ))
        .routes(routes!(admin::tenants::suspend::suspend))
        .routes(routes!(admin::tenants::activate::activate))
        .routes(routes!(
            admin::projects::list::list,
            admin::projects::create::create
        ))
        .routes(routes!(
            admin::projects::show::show,
            admin::projects::update::update,
            admin::projects::delete::delete
        ))
        .routes(routes!(admin::audit::list::list))
}

fn survey_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(surveys::list::list, surveys::create::create))
        .routes(routes!(surveys::show::show, surveys::delete::delete))
        .routes(routes!(surveys::activate::activate))
        .routes(routes!(surveys::deactivate::deactivate))
        .routes(routes!(surveys::results::show::show))
        .routes(routes!(surveys::responses::export::export))
}

/// Whom a tenant may call.
fn people_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(
            do_not_call::list::list,
            do_not_call::create::create
        ))
        .routes(routes!(call_requests::create::create))
        .routes(routes!(call_requests::cancel::cancel))
        .routes(routes!(do_not_call::delete::delete))
        .routes(routes!(consents::create::create))
        .routes(routes!(consents::show::show, consents::delete::delete))
}

fn webhook_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(
            webhook_endpoints::list::list,
            webhook_endpoints::create::create
        ))
        .routes(routes!(
            webhook_endpoints::show::show,
            webhook_endpoints::update::update,
            webhook_endpoints::delete::delete
        ))
        .routes(routes!(webhook_endpoints::rotate::rotate))
        .routes(routes!(webhook_deliveries::list::list))
        .routes(routes!(webhook_deliveries::retry::retry))
}

pub(super) fn realtime_routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(realtime::client_secrets::create::create))
        .routes(routes!(realtime::sessions::create::create))
        .routes(routes!(realtime::transcription_sessions::create::create))
}
