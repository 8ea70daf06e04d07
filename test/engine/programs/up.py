"""Runs a Pulumi program of Python in the real engine: `up.py ENGINE PROGRAM` prints one JSON object.

Inline, by the Automation API: the language host that `pulumi up` would start for Python is not among the engine's parts.
"""

import json
import runpy
import sys

from pulumi import automation

engine, program = sys.argv[1:]
stack = automation.create_or_select_stack(
    stack_name="test",
    project_name="billing",
    program=lambda: (runpy.run_path(program), None)[1],
    opts=automation.LocalWorkspaceOptions(pulumi_command=automation.PulumiCommand(root=engine)),
)
stack.set_config("gcp:project", automation.ConfigValue("engine-test"))
stack.set_config("image", automation.ConfigValue("us-docker.pkg.dev/engine-test/agents/billing-agent"))
first = stack.up()
second = stack.up()
print(
    json.dumps(
        {
            "outputs": {name: output.value for name, output in first.outputs.items()},
            "first": first.summary.resource_changes,
            "second": second.summary.resource_changes,
            "resources": [resource["urn"] for resource in stack.export_stack().deployment["resources"]],
        }
    )
)
