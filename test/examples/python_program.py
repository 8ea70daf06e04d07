"""Reads a Pulumi program of literal arguments: its resources and outputs as JSON, names as the package's schema has them."""

import ast
import json
import sys

MODULE, PACKAGE = "keybrake_gcp", "keybrake-gcp"


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def value_of(node):
    if isinstance(node, ast.Dict):
        return {camel(ast.literal_eval(key)): value_of(value) for key, value in zip(node.keys, node.values)}
    if isinstance(node, ast.List):
        return [value_of(element) for element in node.elts]
    if isinstance(node, ast.Attribute):
        return f"${{{node.value.id}.{camel(node.attr)}}}"
    if isinstance(node, ast.Constant):
        return node.value
    # What the stack's configuration holds is a text.
    return "${configured}"


program = {"config": {"configured": "string"}, "resources": {}, "outputs": {}}
for statement in ast.parse(open(sys.argv[1], encoding="utf-8").read()).body:
    call = getattr(statement, "value", None)
    if not isinstance(call, ast.Call):
        continue
    if isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", None) == MODULE:
        program["resources"][statement.targets[0].id] = {
            "type": f"{PACKAGE}:index:{call.func.attr}",
            "properties": {camel(keyword.arg): value_of(keyword.value) for keyword in call.keywords},
        }
    elif isinstance(call.func, ast.Attribute) and call.func.attr == "export":
        program["outputs"][call.args[0].value] = value_of(call.args[1])
print(json.dumps(program))
