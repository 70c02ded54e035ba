"""The stages of a run, each a function of the run: `cjd.pipelines.<stage>.run(run, progress)`."""
