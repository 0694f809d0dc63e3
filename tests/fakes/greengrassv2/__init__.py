"""A strict AWS IoT Greengrass V2 over HTTP, with the few calls of AWS IoT that a deployment needs, and a simulated fleet behind it.

Requests are parsed and checked, and answers written, by botocore's own service models. What it does beyond them is listed with sources
in docs/unverified.md. `python -m tests.fakes.greengrassv2 --port 0` serves it as a process of its own; in a test, `serving(backend)`.
boto3 reaches it by AWS_ENDPOINT_URL_GREENGRASSV2 and AWS_ENDPOINT_URL_IOT.
"""
