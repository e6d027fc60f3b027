#!/usr/bin/env python3
"""TLS, mutual TLS, SASL and ACLs; what is refused is refused at once, by its name, with Kafka's own words."""
import os
import subprocess
import time

from kafka_probe import RUN, STACK, Cluster, Probe, case, expect, finish


def environment():
    if "KAFKA_TLS_BOOTSTRAP" in os.environ:
        return
    out = subprocess.run([STACK, "up", "kafka-secure"], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        if line.startswith("export "):
            key, value = line[len("export "):].split("=", 1)
            os.environ[key] = value.strip("'\"")


environment()
E = os.environ
CA = ["ssl.ca.location=" + E["TLS_CA"]]
CERT = ["ssl.certificate.location=" + E["TLS_CERT"], "ssl.key.location=" + E["TLS_KEY"]]


def sasl(mechanism, user=None, password=None, tls=True):
    return ((["security.protocol=sasl_ssl"] + CA if tls else ["security.protocol=sasl_plaintext"]) +
            ["sasl.mechanism=" + mechanism, "sasl.username=" + (user or E["KAFKA_SASL_USER"]),
             "sasl.password=" + (password or E["KAFKA_SASL_PASSWORD"])])


def works(brokers, properties, source):
    with Probe(brokers, property=properties) as p:
        t = "%s.%s" % (RUN, source)
        p.ok("open", "a", source, "i1")
        p.ok("produce", "a", t, "k", "v")
        p.ok("record", "a", '{"lsn":"1"}')
        p.ok("commit", "a")
        p.ok("close", "a")
        p.ok("consume", "c", "freshet.%s.%s" % (RUN, source), 0, -1, t)
        expect("n=1" in p.ok("read", "c", 30), "read back")
        p.ok("close", "c")
        expect("= kafka.txn" in p.ok("admin", "check"), "check")


def refused(brokers, properties, kind, code, words, within=6):
    with Probe(brokers, property=properties) as p:
        for call in (("open", "a", "refused", "i1"), ("admin", "check"), ("consume", "c", "g", 0, -1, "t")):
            start = time.monotonic()
            reply = p.fails(kind, code, *call)
            took = time.monotonic() - start
            expect(took < within, call, "took %.1f s" % took)
            expect(any(w in reply for w in words), "expected one of", words, "in", reply)
            expect("secret" not in reply and "wrong-password" not in reply, "a secret is shown:", reply)


def tls():
    works(E["KAFKA_TLS_BOOTSTRAP"], ["security.protocol=ssl"] + CA, "tls")


def mutual_tls():
    works(E["KAFKA_MTLS_BOOTSTRAP"], ["security.protocol=ssl"] + CA + CERT, "mtls")


def wrong_ca():
    refused(E["KAFKA_TLS_BOOTSTRAP"], ["security.protocol=ssl", "ssl.ca.location=" + E["TLS_WRONG_CA"]],
            "CONFIG", "kafka.tls", ["certificate verify failed"])


def no_client_certificate():
    refused(E["KAFKA_MTLS_BOOTSTRAP"], ["security.protocol=ssl"] + CA, "CONFIG", "kafka.tls",
            ["alert number 42", "alert number 116", "certificate required", "bad certificate"])


def plaintext_to_tls():
    with Probe(E["KAFKA_TLS_BOOTSTRAP"]) as p:
        reply = p("admin", "check")
        expect("fail CONNECT" in reply, reply)


def wrong_password():
    for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
        refused(E["KAFKA_SASL_TLS_BOOTSTRAP"], sasl(mechanism, password="wrong-password"), "AUTH", "kafka.sasl",
                ["uthentication failed", "invalid credentials", "Invalid username or password"])


def denied():
    """carol may log in, and do nothing else."""
    brokers = E["KAFKA_SASL_TLS_BOOTSTRAP"]
    with Probe(brokers, property=sasl("SCRAM-SHA-256", E["KAFKA_DENIED_USER"], E["KAFKA_DENIED_PASSWORD"])) as p:
        reply = p("open", "a", "denied", "i1")
        expect("fail AUTH kafka.acl." in reply and "Grant" in reply, reply)
        got = p.ok("admin", "check")
        expect("! kafka.acl.transactional_id" in got, got)


def denied_one_by_one():
    """With the rights on our prefix, but not on a data topic: the topic is named."""
    from confluent_kafka.admin import (AclBinding, AclBindingFilter, AclOperation, AclPermissionType, ResourcePatternType,
                                       ResourceType)
    k = Cluster(E["KAFKA_SECURE_BOOTSTRAP"])
    t = "%s.closed" % RUN
    k.create(t)
    user, prefix = "User:" + E["KAFKA_DENIED_USER"], "freshet.%s." % RUN
    bindings = [AclBinding(kind, prefix, ResourcePatternType.PREFIXED, user, "*", AclOperation.ALL,
                           AclPermissionType.ALLOW)
                for kind in (ResourceType.TOPIC, ResourceType.TRANSACTIONAL_ID)]
    bindings.append(AclBinding(ResourceType.TOPIC, t, ResourcePatternType.LITERAL, user, "*",
                               AclOperation.DESCRIBE, AclPermissionType.ALLOW))
    for f in k.admin.create_acls(bindings).values():
        f.result()
    try:
        properties = sasl("SCRAM-SHA-512", E["KAFKA_DENIED_USER"], E["KAFKA_DENIED_PASSWORD"])
        with Probe(E["KAFKA_SASL_TLS_BOOTSTRAP"], property=properties) as p:
            k.until(lambda: p("open", "a", "onebyone", "i1").startswith("ok"), "the ACLs to arrive", 20)
            reply = p("produce", "a", t, "k", "v")
            if reply.startswith("ok"):
                reply = p("commit", "a")
            expect("fail AUTH kafka.acl.topic" in reply and t in reply, reply)
            p.ok("close", "a")
            p.ok("consume", "c", "foreign-group", 0, -1, t)
            reply = p("read", "c", 20)
            expect("fail AUTH kafka.acl." in reply, reply)
            p.ok("close", "c")
    finally:
        for f in k.admin.delete_acls([AclBindingFilter(b.restype, b.name, b.resource_pattern_type, b.principal, b.host,
                                                       b.operation, b.permission_type) for b in bindings]).values():
            f.result()


CASES = [("tls", tls), ("mutual_tls", mutual_tls), ("wrong_ca", wrong_ca),
         ("no_client_certificate", no_client_certificate), ("plaintext_to_tls", plaintext_to_tls),
         ("sasl_plain", lambda: works(E["KAFKA_SASL_TLS_BOOTSTRAP"], sasl("PLAIN"), "plain")),
         ("scram_256", lambda: works(E["KAFKA_SASL_TLS_BOOTSTRAP"], sasl("SCRAM-SHA-256"), "scram256")),
         ("scram_512", lambda: works(E["KAFKA_SASL_TLS_BOOTSTRAP"], sasl("SCRAM-SHA-512"), "scram512")),
         ("sasl_plaintext", lambda: works(E["KAFKA_SASL_BOOTSTRAP"], sasl("PLAIN", tls=False), "saslplain")),
         ("wrong_password", wrong_password), ("denied", denied), ("denied_one_by_one", denied_one_by_one)]

if __name__ == "__main__":
    import sys
    for name, f in CASES:
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            case("secure." + name, f)
    finish()
