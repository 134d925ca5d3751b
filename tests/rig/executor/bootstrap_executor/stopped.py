"""Executions that are stopped while one of their states is being evaluated."""

from localstack.runtime import hooks


class ExecutionStopped(Exception):
    """Ends the evaluation of a state whose execution has been stopped."""


@hooks.on_infra_start()
def evaluate_nothing_more() -> None:
    """Lets an execution that is stopped do nothing more, and stay `ABORTED`, as on AWS.

    LocalStack only skips what would be evaluated next, and goes on with whatever then lies on the state's stack: the
    history gets the state's input for the seconds of `timeoutInSeconds`, which no SDK can read, a function is invoked
    without its parameters, and the execution is `FAILED` by what comes of it.
    """
    from localstack.services.stepfunctions.asl.component.eval_component import EvalComponent
    from localstack.services.stepfunctions.asl.eval.environment import Environment
    from localstack.services.stepfunctions.asl.eval.program_state import ProgramStopped

    evaluate, fail = EvalComponent.eval, Environment.set_error

    def evaluate_unless_stopped(component: EvalComponent, env: Environment) -> None:
        if isinstance(env.program_state(), ProgramStopped):
            raise ExecutionStopped
        evaluate(component, env)

    def fail_unless_stopped(env: Environment, error: dict[str, str]) -> None:
        if not isinstance(env.program_state(), ProgramStopped):
            fail(env, error)

    EvalComponent.eval, Environment.set_error = evaluate_unless_stopped, fail_unless_stopped
