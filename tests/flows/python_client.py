"""Programs on the official Python client: what to do, the kubeconfig to do it with, and for how many seconds.

Each ends with a number: how many different tokens opened the API server."""

import base64
import copy
import json
import sys
import time

import yaml
from kubernetes import client, config


def pods(api):
    """Asks the API server, and returns the token that opened it."""
    client.CoreV1Api(api).list_pod_for_all_namespaces()
    return api.configuration.api_key["BearerToken"]


def has_ended(api):
    """Whether the token that a client was made with is over by now."""
    payload = api.configuration.api_key["BearerToken"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims["exp"] <= time.time()


def opened(make):
    """Makes a client, and returns it with the token that opened the API server to it.

    On a busy machine a token that lives for seconds may end between the relay and the API server: then once more."""
    for _ in range(10):
        api = make()
        try:
            return api, pods(api)
        except client.ApiException as refused:
            if refused.status != 401 or not has_ended(api):
                raise
    raise AssertionError("each token had ended before it was used")


def works(make, seconds):
    """Asks for so long, with a client of its own for each question."""
    tokens = set()
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        tokens.add(opened(make)[1])
        time.sleep(0.3)
    return len(tokens)


def from_memory(file, seconds):
    """Reads the file once, and makes all clients of what it read then."""
    with open(file) as text:
        read = yaml.safe_load(text)
    make = lambda: config.new_client_from_config_dict(copy.deepcopy(read))
    first, _ = opened(make)
    print("read", flush=True)
    tokens = works(make, seconds)
    # The library renews where a client is made, never in one that it has made.
    try:
        pods(first)
    except client.ApiException as refused:
        assert refused.status == 401, refused
        return tokens
    raise AssertionError("a client outlived its token")


def from_file(file, seconds):
    """Reads the file for each client, and lets the library write its new tokens there."""
    return works(lambda: config.new_client_from_config(file), seconds)


def sign_on(file):
    """Makes a client and asks nothing."""
    config.new_client_from_config(file)
    return 0


programs = {program.__name__: program for program in (from_memory, from_file, sign_on)}
print(programs[sys.argv[1]](*sys.argv[2:]))
