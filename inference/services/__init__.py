"""Writes: storing images, submitting, running, cancelling and clearing jobs."""

from inference.services.catalogue import model_add, variant_measure, variants_sync
from inference.services.fetching import Used, model_pull, model_use
from inference.services.housekeeping import (
    purge,
    rescue,
    worker_beat,
    worker_gone,
    worker_process_started,
)
from inference.services.keeping import images_forget, job_keep, jobs_delete, kept_bytes
from inference.services.remotes import (
    link_read,
    remote_check,
    remote_link,
    remote_remove,
    remote_save,
)
from inference.services.running import job_run
from inference.services.settling import job_timed_out
from inference.services.stored_images import image_get, image_store
from inference.services.submitting import job_cancel, job_submit
from inference.services.variants import variant_make_default

__all__ = [
    "Used",
    "image_get",
    "image_store",
    "images_forget",
    "job_cancel",
    "job_keep",
    "job_run",
    "job_submit",
    "job_timed_out",
    "jobs_delete",
    "kept_bytes",
    "link_read",
    "model_add",
    "model_pull",
    "model_use",
    "purge",
    "remote_check",
    "remote_link",
    "remote_remove",
    "remote_save",
    "rescue",
    "variant_make_default",
    "variant_measure",
    "variants_sync",
    "worker_beat",
    "worker_gone",
    "worker_process_started",
]
