#!/usr/bin/env python3
"""Does what `keybrake exec` does, for images without Node: one file, standard library only, Python 3.8 or later.

    python3 keybrake_exec.py [--wait SECONDS] [--] COMMAND...

Claims the vault key of the Cloud Run execution that this task is of, sets the variables that the vendors' SDKs read, and becomes
the command. It says in one sentence why it could not: exit code 1, 2 for wrong usage, 126 and 127 for the command as shells have it.

Variables: KEYBRAKE_URL and KEYBRAKE_AUDIENCE of the proxy, and those that Cloud Run sets. GCE_METADATA_HOST is honoured.
"""

import errno
import http.client
import json
import os
import random
import re
import signal
import sys
import time
from urllib.parse import quote

DEFAULT_WAIT_S = 60
MAX_WAIT_S = 3600
MAX_ANSWER_BYTES = 65536
MAX_TRY_S = 15
FIRST_PAUSE_S = 0.25
MAX_PAUSE_S = 8
MAX_VARIABLES = 200
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"

TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# What Cloud Run sets in a task, where the proxy is, and what decides which code runs or whom it trusts. A connector may name none of
# them, so an answer that does is no proxy's.
RESERVED = re.compile(
    r"^(?:CLOUD_RUN_|K_|X_GOOGLE_|LD_|DYLD_|GLIBC_|MALLOC_|BASH|NODE_|NPM_|PYTHON|PERL|RUBY|GEM_|BUNDLE_|JAVA_|JDK_|DOTNET_|CORECLR_"
    r"|PHPRC|PHP_INI|GIT_|SSL_|OPENSSL_|GCE_METADATA_)|_(?:PROXY|CA_BUNDLE)$|^(?:PORT|PATH|HOME|SHELL|SHELLOPTS|IFS|ENV|TMPDIR"
    r"|CLASSPATH|GCONV_PATH|LOCPATH|HOSTALIASES|GODEBUG|GOFLAGS|GOOGLE_APPLICATION_CREDENTIALS|KEYBRAKE_URL|KEYBRAKE_AUDIENCE)$"
)
VALUES = {
    "credential": re.compile(r"[A-Za-z0-9_-]{1,500}"),
    "path": re.compile(r"(?:/[A-Za-z0-9._-]{1,64})?"),
    "text": re.compile(r"[\x20-\x7e]{0,1000}"),
}


class ExecFailure(Exception):
    """The command is not started. The message is one sentence without secrets."""

    def __init__(self, sentence, exit_code=1):
        super().__init__(sentence)
        self.exit_code = exit_code


class Place:
    """Where a server is. `text` is what people are told."""

    def __init__(self, tls, host, port, path, text):
        self.tls, self.host, self.port, self.path, self.text = tls, host, port, path, text


def read_arguments(args):
    """`[--wait SECONDS] [--] COMMAND...`: (seconds, command)."""
    rest = list(args)
    wait = DEFAULT_WAIT_S
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if option != "--wait":
            raise ExecFailure(f"`{option}` is not an option of exec; write the command after `--`.", 2)
        value = rest.pop(0) if rest else ""
        wait = int(value) if re.fullmatch(r"[0-9]{1,4}", value) else 0
        if not 1 <= wait <= MAX_WAIT_S:
            raise ExecFailure(f"`--wait` takes whole seconds from 1 to {MAX_WAIT_S}, such as `--wait 60`.", 2)
    if not rest:
        raise ExecFailure("there is no command; write `exec -- COMMAND…`.", 2)
    return wait, rest


def required(name, fix):
    value = os.environ.get(name)
    if not value:
        raise ExecFailure(f"{name} is not set: {fix}.")
    return value


def of_cloud_run(name, shape):
    value = required(
        name, "exec runs in a task of a Cloud Run job; elsewhere issue a key by `keybrake keys issue`"
    )
    if not re.fullmatch(shape, value):
        raise ExecFailure(f"{name} is not as Cloud Run sets it: leave this variable alone.")
    return value


def read_proxy():
    """One strict form, so that nothing here is read in two ways."""
    text = required("KEYBRAKE_URL", "set it to the proxy's address, such as https://keybrake.example.com")
    match = re.fullmatch(
        r"(https?)://(\[[0-9a-fA-F:]{2,39}\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?(/[A-Za-z0-9._~/-]{0,200})?", text
    )
    if not match or not is_port(match.group(3)):
        raise ExecFailure("KEYBRAKE_URL is no address: set it to the proxy's, such as https://keybrake.example.com.")
    scheme, host, port, path = match.groups()
    tls = scheme == "https"
    if not tls and not re.fullmatch(r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]", host):
        raise ExecFailure(
            f"KEYBRAKE_URL is http:// to {host}, where a vault key would travel unencrypted: use https://."
        )
    return Place(
        tls, host.strip("[]"), int(port) if port else (443 if tls else 80), (path or "").rstrip("/"), text.rstrip("/")
    )


def is_port(digits):
    return digits is None or 0 < int(digits) <= 65535


def read_metadata():
    text = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    match = re.fullmatch(r"([A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?", text)
    if not match or not is_port(match.group(2)):
        raise ExecFailure("GCE_METADATA_HOST is not `host` or `host:port`: unset it.")
    return Place(False, match.group(1), int(match.group(2) or 80), "", text)


def ask_until(who, place, method, path, headers, deadline):
    """The first answer that another try would not change: (status, body). 408, 429, 5xx and silence are tried again."""
    tries = 0
    while True:
        tries += 1
        status, said = ask_once(who, place, method, path, headers, deadline)
        if status is not None:
            if 300 <= status < 400:
                raise ExecFailure(
                    f"{who} at {place.text} answered {status}, a redirect, which is not followed: name its own address."
                )
            if status not in (408, 429) and status < 500:
                return status, said
        pause = min(MAX_PAUSE_S, FIRST_PAUSE_S * 2 ** (tries - 1)) * random.uniform(0.5, 1)
        if time.monotonic() + pause >= deadline:
            if status is not None:
                return status, said
            raise ExecFailure(f"{who} at {place.text} does not answer ({said}); tried {tries} times.")
        time.sleep(pause)


def ask_once(who, place, method, path, headers, deadline):
    """(status, body), or (None, why there was no answer)."""
    end = min(deadline, time.monotonic() + MAX_TRY_S)
    connection = None
    try:
        connection = connect(place, end)
        connection.request(method, place.path + path, headers=headers)
        response = connection.getresponse()
        body = b""
        while True:
            connection.sock and connection.sock.settimeout(max(0.001, end - time.monotonic()))
            part = response.read1(MAX_ANSWER_BYTES)
            if not part:
                break
            body += part
            if len(body) > MAX_ANSWER_BYTES:
                raise ExecFailure(
                    f"the answer of {who} at {place.text} is too large: name the address of the proxy itself."
                )
            if time.monotonic() >= end:
                return None, "time is up"
        if response.length:
            return None, "the answer was cut"
        return response.status, body.decode("utf-8", "replace")
    except OSError as error:
        # Errors of TLS number their reasons for themselves.
        code = None if type(error).__module__ == "ssl" else errno.errorcode.get(error.errno or 0)
        return None, code or getattr(error, "reason", None) or type(error).__name__
    except (http.client.HTTPException, ValueError) as error:
        return None, type(error).__name__
    finally:
        if connection:
            connection.close()


def connect(place, end):
    timeout = max(0.001, end - time.monotonic())
    if not place.tls:
        return http.client.HTTPConnection(place.host, place.port, timeout=timeout)
    import ssl

    return http.client.HTTPSConnection(
        place.host, place.port, timeout=timeout, context=ssl.create_default_context()
    )


def identity_token(deadline):
    """https://cloud.google.com/run/docs/container-contract#metadata-server (read 2026-11)."""
    place = read_metadata()
    audience = required("KEYBRAKE_AUDIENCE", "set it to the audience that the proxy has as its KEYBRAKE_AUDIENCE")
    path = "/computeMetadata/v1/instance/service-accounts/default/identity?audience=" + quote(audience, safe="")
    status, body = ask_until(
        "the metadata server", place, "GET", path + "&format=full", {"metadata-flavor": "Google"}, deadline
    )
    token = body.strip()
    if status == 200 and TOKEN.fullmatch(token):
        return token
    said = "something that is no ID token" if status == 200 else str(status)
    raise ExecFailure(f"the metadata server at {place.text} answered {said}: does the job have a service account?")


def claim_variables(proxy, job, execution, deadline):
    token = identity_token(deadline)
    status, body = ask_until(
        "the proxy",
        proxy,
        "POST",
        f"/jobs/{job}/executions/{execution}/claim",
        {"authorization": f"Bearer {token}", "accept": "application/json", "content-length": "0"},
        deadline,
    )
    answer = parse(body)
    if status not in (200, 201):
        code, message = answer.get("code"), answer.get("message")
        if isinstance(code, str) and re.fullmatch("[a-z_]{1,40}", code) and isinstance(message, str):
            raise ExecFailure(f"the proxy refused the claim: {plain(message, token)}.")
        raise ExecFailure(
            f"the proxy at {proxy.text} answered {status}, which is no answer of the proxy: check KEYBRAKE_URL."
        )
    variables = answer.get("variables")
    if isinstance(variables, list) and len(variables) <= MAX_VARIABLES and all(map(is_variable, variables)):
        return variables
    raise ExecFailure(f"the answer of {proxy.text} is not that of a claim: is the proxy of another version?")


def parse(body):
    """An empty dict for what is no JSON object."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def is_variable(value):
    if not isinstance(value, dict):
        return False
    name, kind, text = value.get("name"), value.get("kind"), value.get("value")
    if not (isinstance(name, str) and isinstance(kind, str) and isinstance(text, str)):
        return False
    if not re.fullmatch("[A-Z][A-Z0-9_]{0,63}", name) or RESERVED.search(name):
        return False
    return kind in VALUES and VALUES[kind].fullmatch(text) is not None


def plain(message, token):
    """One line; neither the token nor a vault key, whoever wrote them into the message."""
    line = re.sub(r"vk_[\w~-]+", "vk_…", message.replace(token, "…"), flags=re.ASCII)
    return re.sub(r"[^\x20-\x7e…]+", " ", line)[:500].rstrip(". ")


def inherited():
    """The environment as it was given: Python adds LC_CTYPE in the C locale (PEP 538)."""
    env = dict(os.environ)
    try:
        with open("/proc/self/environ", "rb") as opened:
            given = dict(entry.partition(b"=")[::2] for entry in opened.read().split(b"\0"))
    except OSError:
        return env
    env.pop("LC_CTYPE", None)
    if b"LC_CTYPE" in given:
        env["LC_CTYPE"] = os.fsdecode(given[b"LC_CTYPE"])
    return env


def environment_of(proxy, index, attempt, variables):
    made = inherited()
    for variable in variables:
        kind, value = variable["kind"], variable["value"]
        # The task's context lets the proxy recognise a retried task, and names it in the audit.
        if kind == "credential":
            value = f"{value}~{index}~{attempt}"
        elif kind == "path":
            value = proxy.text + value
        made[variable["name"]] = value
    made["KEYBRAKE_TASK_INDEX"] = index
    made["KEYBRAKE_TASK_ATTEMPT"] = attempt
    return made


def find_program(name):
    """As execvp(3) looks for it: 127 when it is not there, 126 when it cannot be executed."""
    if "/" in name:
        candidates = [name]
    else:
        candidates = [f"{part or '.'}/{name}" for part in os.environ.get("PATH", DEFAULT_PATH).split(":")]
    there = [each for each in candidates if name and os.path.isfile(each)]
    for each in there:
        if os.access(each, os.X_OK):
            check_start(each)
            return each
    if there:
        raise ExecFailure(f"`{there[0]}` may not be executed: `chmod +x` it.", 126)
    raise ExecFailure(f"there is no program `{name}`{'' if '/' in name else ' on the PATH'}.", 127)


def check_start(file):
    if not sys.platform.startswith("linux"):
        return
    try:
        with open(file, "rb") as opened:
            start = opened.read(256)
    except OSError:
        # May be executed and not read: then nothing can be told.
        return
    if start.startswith(b"\x7fELF"):
        return
    match = re.match(rb"#![ \t]*([^ \t\n]+)", start)
    if not match:
        raise ExecFailure(f"`{file}` is neither a program nor a script that begins with `#!`.", 126)
    interpreter = os.fsdecode(match.group(1))
    if not os.path.exists(interpreter):
        raise ExecFailure(f"`{file}` needs {interpreter}, which is not there.", 127)


def become(program, command, env):
    # Python ignores these, and what is ignored stays so.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(program, command, env)
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, "EIO")
        raise ExecFailure(f"`{program}` cannot be started ({code}).", 126)


def main(args):
    # As the first process of a container it would not hear the signal.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        wait, command = read_arguments(args)
        proxy = read_proxy()
        required("KEYBRAKE_AUDIENCE", "set it to the audience that the proxy has as its KEYBRAKE_AUDIENCE")
        read_metadata()
        job = of_cloud_run("CLOUD_RUN_JOB", "[a-z][a-z0-9-]{0,62}")
        execution = of_cloud_run("CLOUD_RUN_EXECUTION", "[a-z][a-z0-9-]{0,62}")
        index = of_cloud_run("CLOUD_RUN_TASK_INDEX", "[0-9]{1,6}")
        attempt = of_cloud_run("CLOUD_RUN_TASK_ATTEMPT", "[0-9]{1,4}")
        program = find_program(command[0])
        variables = claim_variables(proxy, job, execution, time.monotonic() + wait)
        become(program, command, environment_of(proxy, index, attempt, variables))
    except ExecFailure as failure:
        os.write(2, f"keybrake exec: {failure}\n".encode("utf-8", "replace"))
        return failure.exit_code
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
