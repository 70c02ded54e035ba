import io

from rich.console import Console

from cjd.progress import Progress


def test_what_workers_post_reaches_the_bar(ray_session):
    import ray

    from cjd.progress.mailbox import Mailbox

    mailbox = Mailbox()

    @ray.remote(num_cpus=0.5)
    def work(box, i: int) -> int:
        box.post(3, last=i)
        return i

    progress = Progress(console=Console(file=io.StringIO()))
    with progress.stage("generate", total=12, unit="samples") as stage:
        with mailbox.forward(stage):
            ray.get([work.remote(mailbox, i) for i in range(4)])
        assert stage.done == 12
        assert stage.fields["last"] in range(4)
