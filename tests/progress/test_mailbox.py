import io
import os

import pytest
from rich.console import Console

from cjd.progress import Progress


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


def test_what_workers_post_reaches_the_bar(cluster):
    from cjd.progress.mailbox import Mailbox

    mailbox = Mailbox()

    @cluster.remote(num_cpus=0.5)
    def work(box, i: int) -> int:
        box.post(3, last=i)
        return i

    progress = Progress(console=Console(file=io.StringIO()))
    with progress.stage("generate", total=12, unit="samples") as stage:
        with mailbox.forward(stage):
            cluster.get([work.remote(mailbox, i) for i in range(4)])
        assert stage.done == 12
        assert stage.fields["last"] in range(4)
