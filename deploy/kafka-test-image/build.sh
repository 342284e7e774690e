#!/bin/sh
# Builds the image from the Java runtime and the jars of `tiercel[kafka-dev]`.
# Usage: build.sh [name of the image] [base image]
set -eu

image=${1:-tiercel-kafka-test}
base=${2:-debian:bookworm-slim}
here=$(dirname "$0")
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

ask() {
  "${PYTHON:-$here/../../.venv/bin/python}" -c \
    "from tiercel_cli.kafka_broker import java_command as java; print($1)"
}

cp "$here/Dockerfile" "$here/entrypoint" "$context"
cp -RL "$(dirname "$(ask 'java()[0]')")/.." "$context/java"
mkdir "$context/jars"
ask 'java()[-1].replace(":", "\n")' | xargs -d '\n' cp -Lt "$context/jars"
chmod -R a+rX "$context"
docker build --build-arg "BASE=$base" --tag "$image" "$context"
