"""The libraries' own progress bars and notices are not for the user of this program."""

from __future__ import annotations

import logging


def quieten() -> None:
    """Errors only from transformers and diffusers, and no loading bars: ours are the ones on the screen.

    To be called before either is first imported: transformers imports DeepSpeed, which says on a machine
    without an accelerator that there is none.
    """
    logging.getLogger("DeepSpeed").addFilter(_is_news)

    import diffusers.utils.logging as diffusers_logging
    import transformers.utils.logging as transformers_logging

    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("Setting accelerator to CPU")
