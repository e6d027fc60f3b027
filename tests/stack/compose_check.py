#!/usr/bin/python3
"""docker/compose.yaml says the same as our own stack: its shape is Compose's, its images are those of
tests/stack/versions, its servers have the stack's settings. Prints what differs; exit code 0: nothing.

The shape: https://github.com/compose-spec/compose-spec/blob/main/spec.md, as far as we use it; what we do
not use is refused, so that a slip of the pen is."""
import os
import re
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DOCKER = os.path.join(ROOT, "docker")
PORT = re.compile(r"127\.0\.0\.1:(\d+):(\d+)")
TIME = re.compile(r"(\d+(ms|s|m|h))+")
problems = []


def expect(good, *what):
    if not good:
        problems.append(" ".join(str(w) for w in what))


def texts(value):
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def healthcheck(name, h):
    expect(set(h) == {"test", "interval", "timeout", "retries"}, name, "healthcheck has", sorted(h))
    expect(texts(h.get("test")) and h["test"][0] in ("CMD", "CMD-SHELL"), name, "healthcheck.test")
    expect(all(TIME.fullmatch(str(h.get(k))) for k in ("interval", "timeout")), name, "healthcheck: no time")
    expect(isinstance(h.get("retries"), int), name, "healthcheck.retries")


def mount(name, text):
    source, inside, *mode = text.split(":")
    expect(os.path.isfile(os.path.join(DOCKER, source)), name, "mounts", source, "which is not there")
    expect(inside.startswith("/") and mode == ["ro"], name, "mount", text)


SHAPE = {
    "image": lambda n, v: expect(isinstance(v, str) and ":" in v, n, "image without a version:", v),
    "command": lambda n, v: expect(texts(v), n, "command is no list of texts"),
    "environment": lambda n, v: expect(isinstance(v, dict) and all(isinstance(x, str) for x in v.values()), n, "environment"),
    "volumes": lambda n, v: [mount(n, x) for x in v],
    "ports": lambda n, v: expect(all(PORT.fullmatch(x) for x in v), n, "ports beyond this machine:", v),
    "healthcheck": healthcheck,
    "depends_on": lambda n, v: expect(all(x == {"condition": "service_healthy"} for x in v.values()), n, "depends_on"),
}


def settings(path):
    with open(path) as f:
        lines = [line.split("=", 1) for line in f if "=" in line and not line.startswith("#")]
    return {k.strip(): v.strip() for k, v in lines}


def same_settings(ours, theirs, but):
    """Those of a container are those of the stack but for where it listens and keeps its data."""
    a, b = settings(os.path.join(HERE, ours)), settings(os.path.join(DOCKER, theirs))
    for key in sorted((a.keys() | b.keys()) - but):
        expect(a.get(key) == b.get(key), f"docker/{theirs}: {key} is {b.get(key)}, in tests/stack/{ours} {a.get(key)}")


def main():
    with open(os.path.join(DOCKER, "compose.yaml")) as f:
        compose = yaml.safe_load(f)
    expect(set(compose) == {"name", "services"}, "top level:", sorted(compose))
    services, taken = compose["services"], []
    for name, service in services.items():
        for key, value in service.items():
            if key in SHAPE:
                SHAPE[key](name, value)
            else:
                expect(False, name, "has a key we do not use:", key)
        expect("image" in service, name, "has no image")
        expect(all(d in services and "healthcheck" in services[d] for d in service.get("depends_on", {})),
               name, "depends on a service without a health check")
        taken += [PORT.match(p).group(1) for p in service.get("ports", []) if PORT.match(p)]
    expect(len(taken) == len(set(taken)), "a port is used twice:", taken)
    pinned = settings(os.path.join(HERE, "versions"))
    for name, image in (("source", "postgres:" + pinned["POSTGRES"]), ("target", "postgres:" + pinned["POSTGRES"]),
                        ("kafka", "apache/kafka:" + pinned["KAFKA"]),
                        ("registry", "apicurio/apicurio-registry-mem:" + pinned["APICURIO"])):
        found = services.get(name, {}).get("image")
        expect(found == image, f"{name} is {found}, pinned is {image}")
    same_settings("kafka/broker.properties", "kafka.properties", {
        "node.id", "controller.quorum.voters", "listeners", "advertised.listeners", "inter.broker.listener.name",
        "listener.security.protocol.map", "log.dirs",
        "broker.session.timeout.ms"})  # ours is shorter once it was killed
    same_settings("postgresql.conf", "postgresql.conf", {
        # ours is small, on this machine only, and may forget; its log is read by tests
        "listen_addresses", "max_connections", "shared_buffers", "fsync", "unix_socket_directories", "log_timezone",
        "log_line_prefix"})
    for p in problems:
        print("compose: " + p)
    print(f"compose: {len(services)} services, {'as the stack' if not problems else 'not as the stack'}")
    sys.exit(1 if problems else 0)


main()
