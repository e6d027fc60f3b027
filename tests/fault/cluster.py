"""Fault scenarios of a cluster of three brokers (kafka3 of the stack, which the scenario adds)."""
import os
import re
import subprocess
import time

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from pipeline import STACK, Failure, fault_run, figures, stack, wait_for, wait_rows

TRANSACTIONS = "__transaction_state"  # one partition in our stack: its leader is the coordinator of all


def add_cluster():
    """All that follows in this process uses it."""
    said = subprocess.run([STACK, "up", "kafka3"], check=True, capture_output=True, text=True).stdout
    os.environ["KAFKA_BOOTSTRAP"] = re.search(r"KAFKA3_BOOTSTRAP='?([^'\n]+)", said).group(1)
    return AdminClient({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"]})


def partitions(admin, topic):
    """Empty while the brokers are too busy with themselves to say."""
    try:
        return admin.list_topics(topic, timeout=20).topics[topic].partitions
    except KafkaException:
        return {}


def leader(admin, topic):
    known = partitions(admin, topic)
    return known[0].leader if known else -1


def whole(admin, topics):
    """Every replica of these is in sync: the next broker may be killed."""
    found = [partitions(admin, t) for t in topics]
    return all(found) and all(len(p.isrs) == 3 for known in found for p in known.values())


def elsewhere(admin, topic, old):
    return lambda: leader(admin, topic) not in (-1, old)


def scenario_leader_kill(args):
    """Three brokers, replication 3: the transaction coordinator is killed, the leader of a partition is
    killed, the coordinator hangs; in turn. The daemon goes on with the two that are left."""
    admin = add_cluster()
    done = {"coordinators killed": 0, "leaders killed": 0, "coordinators frozen": 0}
    with fault_run(args) as (r, w):
        data = f"{r.id}.public.t1"
        r.start()
        wait_rows(r, 5, 120)
        topics = [TRANSACTIONS, data, f"freshet.{r.id}.checkpoint.src"]
        for n in range(args.kills):
            wait_for(r, "all replicas in sync", lambda: whole(admin, topics), 120)
            what = list(done)[n % 3]
            topic = data if "leaders" in what else TRANSACTIONS
            old = leader(admin, topic)
            time.sleep(r.random.uniform(0.1, 0.6))
            stack(*(["freeze", f"kafka3-{old}"] if "frozen" in what else ["kill", f"kafka3-{old}", "-9"]))
            try:
                wait_for(r, f"another leader of {topic}", elsewhere(admin, topic, old), 60)
                wait_rows(r, r.applied() + 20, 120)
            finally:
                stack("cont" if "frozen" in what else "start", f"kafka3-{old}")
            done[what] += 1
        if r.starts != 1:
            raise Failure(f"the daemon ended: exit codes {r.ended}")
        wait_for(r, "all replicas in sync", lambda: whole(admin, topics), 120)
        v = r.settle(w, 180)
        return figures(v, r, **done)
