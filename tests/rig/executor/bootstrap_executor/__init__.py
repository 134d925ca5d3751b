"""Runs the `bootstrap` of custom-runtime Lambda functions as local processes, for LocalStack in host mode.

`executor` is LocalStack's view. Beneath it, an `environment` runs one `process` at a time, which speaks the Runtime API
of `runtime_api`; `outcome` says how an invocation can end, `output` keeps what the process prints, and `report` has the
lines around it. `server` and `shutdown` mend what LocalStack does with the machine, `stopped` executions that are stopped.
"""
