"""Runs one Python action: StackStorm's Action class, without StackStorm.

Started with nothing on its command line. Everything comes as JSON on standard input; the result
goes to the file result.json in the attempt's own folder; standard output and error are the action's.
"""

import importlib.util
import inspect
import io
import json
import logging
import os
import sys
import traceback
import types
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

INVALID_STATUS = 220
INVALID_STATUS_TEXT = (
    "The action returned a tuple of two whose first item is no boolean. Return a list, or "
    "(True, result) or (False, result)."
)

order = None
folder = None


# --- what actions use ---------------------------------------------------------------------------


class Config(dict):
    """The pack's configuration. A missing key says what to do about it."""

    def __missing__(self, key):
        raise ValueError(
            'Config for pack "%s" is missing key "%s". Write it into configs/%s.yaml.'
            % (order["pack"], key, order["pack"])
        )


class Action(object):
    """The base class of Python actions."""

    description = None

    def __init__(self, config=None, action_service=None):
        self.config = {} if config is None else config
        self.action_service = action_service
        self.datastore_service = getattr(action_service, "datastore_service", None)
        self.logger = get_logger_for_python_runner_action(type(self).__name__)

    def run(self, **kwargs):
        raise NotImplementedError("an action implements run()")


def get_logger_for_python_runner_action(action_name, log_level=None):
    logger = logging.getLogger("st2.actions.python." + action_name)
    level = str(log_level or order["log_level"]).upper()
    # AUDIT is a level of StackStorm's own.
    logger.setLevel(logging.CRITICAL if level == "AUDIT" else level)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(name)-12s: %(levelname)-8s %(message)s"))
        logger.addHandler(handler)
        logger.propagate = False
    return logger


class Resource(object):
    """What the API answered, as an object."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def __repr__(self):
        return "<%s %s>" % (type(self).__name__, self.__dict__)


class KeyValuePair(Resource):
    pass


def call(method, path, query=None, body=None):
    """Asks the API; nothing where it has no such thing."""
    base = os.environ.get("ST2_ACTION_API_URL", "").rstrip("/")
    if not base:
        raise ValueError("ST2_ACTION_API_URL is not set: this action runs without an API")
    if not base.endswith("/v1"):
        base += "/v1"
    query = {key: value for key, value in (query or {}).items() if value is not None}
    url = base + path + ("?" + urllib.parse.urlencode(query) if query else "")
    request = urllib.request.Request(url, method=method)
    request.add_header("X-Auth-Token", os.environ.get("ST2_ACTION_AUTH_TOKEN", ""))
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    # The API is on this machine or near it: a proxy for the world must not see the token.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise ValueError("%s %s: %s %s" % (method, path, error.code, error.read().decode("utf-8", "replace")))
    return json.loads(text) if text else None


def key_path(name):
    return "/keys/" + urllib.parse.quote(name, safe="")


class DatastoreService(object):
    """The key-value store, through the API."""

    def __init__(self, logger, pack_name, class_name):
        self._prefix = "%s.%s:" % (pack_name, class_name)

    def _name(self, name, local):
        return self._prefix + name if local else name

    def get_value(self, name, local=True, scope="system", decrypt=False):
        query = {"scope": scope, "decrypt": "true" if decrypt else None}
        found = call("GET", key_path(self._name(name, local)), query)
        return found.get("value") if found else None

    def set_value(self, name, value, ttl=None, local=True, scope="system", encrypt=False):
        name = self._name(name, local)
        body = {"name": name, "value": str(value), "scope": scope}
        if ttl:
            body["ttl"] = ttl
        if encrypt:
            body["secret"] = True
        call("PUT", key_path(name), {"scope": scope}, body)
        return True

    def delete_value(self, name, local=True, scope="system"):
        call("DELETE", key_path(self._name(name, local)), {"scope": scope})
        return True

    def list_values(self, local=True, prefix=None, limit=None, offset=0):
        prefix = self._name(prefix or "", local)
        found = call("GET", "/keys", {"prefix": prefix, "limit": limit, "offset": offset or None})
        return [KeyValuePair(**item) for item in found or []]

    def get_user_info(self):
        return call("GET", "/user")


class ActionService(object):
    """What an action may ask of the engine."""

    def __init__(self, class_name):
        self._class_name = class_name
        self.datastore_service = DatastoreService(None, order["pack"], class_name)
        for name in ("get_value", "set_value", "delete_value", "list_values", "get_user_info"):
            setattr(self, name, getattr(self.datastore_service, name))

    def get_logger(self, name):
        return get_logger_for_python_runner_action("%s.%s" % (self._class_name, name))


class Keys(object):
    """st2client's `client.keys`."""

    def get_by_name(self, name, params=None, **query):
        found = call("GET", key_path(name), dict(params or {}, **query))
        return KeyValuePair(**found) if found else None

    def get_by_id(self, id, **query):
        return self.get_by_name(id, **query)

    def get_all(self, **query):
        return [KeyValuePair(**item) for item in call("GET", "/keys", query) or []]

    def update(self, instance, **query):
        fields = {key: value for key, value in vars(instance).items() if value is not None}
        return KeyValuePair(**(call("PUT", key_path(instance.name), query, fields) or fields))

    def delete(self, instance, **query):
        call("DELETE", key_path(instance.name), query)
        return True


class Client(object):
    """st2client's Client: the key-value store, which is what packs use it for."""

    def __init__(self, base_url=None, **kwargs):
        self.keys = Keys()


# --- StackStorm's modules, by their names -------------------------------------------------------


def add_utc_tz(value):
    return value.replace(tzinfo=timezone.utc)


def format_time(value, usec=True, offset=True):
    if isinstance(value, (int, float)):
        value = datetime.fromtimestamp(value, timezone.utc)
    text = value.strftime("%Y-%m-%dT%H:%M:%S" + (".%f" if usec else ""))
    return text + ("+00:00" if offset else "Z")


def parse_time(value, preserve_original_tz=False):
    value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if value.tzinfo is None:
        return add_utc_tz(value)
    return value if preserve_original_tz else value.astimezone(timezone.utc)


def validate_time(value, raise_exception=True):
    try:
        parse_time(value)
        return True
    except ValueError:
        if raise_exception:
            raise
        return False


def get_logger(name=None, *args, **kwargs):
    return get_logger_for_python_runner_action(name or "action")


def base_path():
    return os.path.dirname(order["folder"])


def install_modules():
    """Makes the names importable that packs import from StackStorm."""

    def error(name):
        return type(name, (Exception,), {})

    def module(name, **content):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            path = ".".join(parts[:end])
            if path not in sys.modules:
                made = types.ModuleType(path)
                made.__path__ = []
                sys.modules[path] = made
                if end > 1:
                    setattr(sys.modules[".".join(parts[: end - 1])], parts[end - 1], made)
        vars(sys.modules[name]).update(content)

    statuses = "requested scheduled delayed running succeeded failed timeout abandoned canceling " \
        "canceled pending pausing paused resuming".split()
    module("st2common.runners.base_action", Action=Action)
    module("st2actions.runners.pythonrunner", Action=Action)
    module("st2common.runners.utils", get_logger_for_python_runner_action=get_logger_for_python_runner_action)
    module("st2common.log", getLogger=get_logger, logging=logging)
    module("st2common.logging", getLogger=get_logger)
    module("st2common.util.isotime", add_utc_tz=add_utc_tz, format=format_time, parse=parse_time,
           validate=validate_time)
    module("st2common.util.date", get_datetime_utc_now=lambda: datetime.now(timezone.utc),
           add_utc_tz=add_utc_tz)
    module("st2common.exceptions.action", InvalidActionReferencedException=error("InvalidActionReferencedException"),
           InvalidActionParameterException=error("InvalidActionParameterException"))
    module("st2common.content.utils", get_packs_base_paths=lambda: [base_path()],
           get_pack_base_path=lambda pack_name, **_: os.path.join(base_path(), pack_name),
           get_pack_directory=lambda pack_name: os.path.join(base_path(), pack_name),
           get_pack_file_abs_path=lambda pack_ref, file_path, **_: os.path.join(base_path(), pack_ref, file_path))
    module("st2common.constants.action", LIVEACTION_STATUSES=statuses,
           **{"LIVEACTION_STATUS_" + status.upper(): status for status in statuses})
    module("st2common.constants.keyvalue", SYSTEM_SCOPE="system", USER_SCOPE="user",
           FULL_SYSTEM_SCOPE="st2kv.system", FULL_USER_SCOPE="st2kv.user")
    module("st2common.constants.pack", DEFAULT_PACK_NAME="default", SYSTEM_PACK_NAME="core")
    module("st2common.services.datastore", ActionDatastoreService=DatastoreService)
    module("st2client.client", Client=Client)
    module("st2client.models", KeyValuePair=KeyValuePair, Resource=Resource)
    module("st2client.models.keyvalue", KeyValuePair=KeyValuePair)


# --- one run ------------------------------------------------------------------------------------


def load(file):
    """The action's module, as StackStorm loads it: its folder and the pack's libraries on the path."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    actions = os.path.join(order["folder"], "actions")
    wanted = [os.path.dirname(file), actions, os.path.join(actions, "lib"), os.path.join(order["folder"], "lib")]
    sys.path[:0] = [path for path in dict.fromkeys(wanted) if os.path.isdir(path)]
    name = os.path.splitext(os.path.basename(file))[0]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None:
        raise ImportError("%s is no Python file" % file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def find_class(module):
    """The first class, by name, that the module itself defines and that can run."""
    for _, found in inspect.getmembers(module, inspect.isclass):
        if found.__module__ == module.__name__ and callable(getattr(found, "run", None)):
            return found
    raise LookupError(
        "%s defines no class with a method `run`; write `class MyAction(Action):` with "
        "`def run(self, ...)` in it" % order["file"]
    )


def make(found):
    """An instance, in each of the ways that StackStorm tries."""
    config = Config(order["config"] or {})
    service = ActionService(found.__name__)
    try:
        return found(config=config, action_service=service)
    except TypeError as error:
        # It may come from deep inside; then the second way gives the same error again.
        if "action_service" not in str(error):
            raise
        instance = found(config=config)
        instance.action_service = service
        return instance


def answer(status, result):
    try:
        text = json.dumps({"status": status, "result": result}, allow_nan=False)
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = json.dumps({"status": status, "result": str(result)})
    file = os.path.join(folder, "result.json")
    with io.open(file + ".new", "w", encoding="utf-8", errors="surrogatepass") as out:
        out.write(text)
    os.rename(file + ".new", file)


def main():
    global order, folder
    folder = os.environ["TMPDIR"]
    order = json.loads(sys.stdin.buffer.read().decode("utf-8"))
    # The action finds an empty standard input, as under StackStorm.
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    install_modules()
    instance = make(find_class(load(order["file"])))
    output = instance.run(**order["parameters"])
    if isinstance(output, tuple) and len(output) == 2:
        status, result = output
        if not isinstance(status, bool):
            sys.stderr.write(INVALID_STATUS_TEXT + "\n")
            return INVALID_STATUS
        answer(status, result)
    else:
        answer(None, output)
    return 0


def start():
    """Runs the action and says with which code to exit."""
    try:
        code = main()
    except Exception:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    return code
