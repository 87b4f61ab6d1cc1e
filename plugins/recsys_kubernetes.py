"""A heavy job as a Kubernetes pod; imported only with ``RECSYS_HEAVY=kubernetes``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowFailException
from kubernetes.client import models as k8s

from recsys.settings import Settings
from recsys_containers import environment, prepare

FILES = "/mnt/recsys"
"""Where the bucket with the models is mounted in the pod."""
_CONFINED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}


class KubernetesJob(KubernetesPodOperator):
    """Run ``recsys JOB`` in a pod of the image ``RECSYS_CONTAINER``, without holding a worker meanwhile.

    Cluster and namespace are those of the Airflow connection ``kubernetes_default``. The pod's spec is computed in
    ``execute``; of the task only ``job`` and ``options`` are shown and rendered. A retry finds a pod still running.
    """

    template_fields = ("job", "options")
    template_fields_renderers: dict[str, str] = {}  # noqa: RUF012  (as the provider declares it)
    ui_color = "#dfefe6"

    def __init__(self, *, job: str, options: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(
            deferrable=True,
            startup_timeout_seconds=600,
            container_security_context=_CONFINED,
            automount_service_account_token=False,
            **kwargs,
        )
        self.job = job
        self.options = options or {}

    def execute(self, context: Any) -> Any:
        """Start the pod and hand over to the triggerer."""
        settings, arguments = prepare(self.job, self.options, context)
        # Kubernetes replaces $(NAME) in arguments by the environment, and $$ by $.
        self.arguments = [word.replace("$", "$$") for word in arguments]
        if not settings.container:
            raise AirflowFailException(
                "SettingsError: RECSYS_CONTAINER is not set; with RECSYS_HEAVY=kubernetes it has to name an image, "
                "like europe-docker.pkg.dev/PROJECT/recsys/job:1."
            )
        self.image = settings.container
        self.name = f"recsys-{self.job}"
        memory = {"memory": settings.pod_memory}
        self.container_resources = k8s.V1ResourceRequirements(
            requests={"cpu": settings.pod_cpu, **memory}, limits=memory
        )
        env = environment()
        if settings.pod_bucket:
            env["RECSYS_FILES"] = FILES
            self._mount(settings)
        self.env_vars = [k8s.V1EnvVar(name=name, value=value) for name, value in env.items()]
        self.log.info("recsys %s in %s", " ".join(arguments), self.image)
        return super().execute(context)

    def _mount(self, settings: Settings) -> None:
        """Mount the folder ``pod_bucket`` (BUCKET/FOLDER) by the Cloud Storage FUSE driver of GKE."""
        bucket, _, folder = settings.pod_bucket.partition("/")
        options = "implicit-dirs" + (f",only-dir={folder.strip('/')}" if folder else "")
        driver = k8s.V1CSIVolumeSource(
            driver="gcsfuse.csi.storage.gke.io",
            volume_attributes={"bucketName": bucket, "mountOptions": options},
        )
        self.volumes = [k8s.V1Volume(name="files", csi=driver)]
        self.volume_mounts = [k8s.V1VolumeMount(name="files", mount_path=FILES)]
        self.annotations = {"gke-gcsfuse/volumes": "true"}
