"""Executions that are stopped while one of their states begins."""

from localstack.runtime import hooks


@hooks.on_infra_start()
def evaluate_timeouts() -> None:
    """Has a state's timeout evaluated although the execution has been stopped meanwhile.

    LocalStack evaluates nothing any more then, yet takes a value from its stack: the history gets the state's input for
    the seconds of `timeoutInSeconds`, and no SDK can read it.
    """
    from localstack.services.stepfunctions.asl.component.common.timeouts.timeout import TimeoutSeconds

    TimeoutSeconds.eval = TimeoutSeconds._eval_body
