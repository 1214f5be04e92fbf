#!/bin/sh
# NVIDIA's server as Nereid wants it: empty at first, steered only by who holds the control key.
# The flags say the same as stack/triton.py does for the embedded one.
set -eu

control="model-repository,trace,logging:nereid-control=$(cat /run/secrets/control_key)"
shm="shared-memory:nereid-shm=$(cat /run/secrets/shm_key)"
pattern='(?i)^x-(nereid|tenant|user|request)-.*'
if [ -n "${NEREID_FORWARD_HEADERS:-}" ]; then
    # A comma-separated list of expressions, each for a whole name.
    pattern="$pattern|^(?:$(printf %s "$NEREID_FORWARD_HEADERS" | sed 's/ *, */)$|^(?:/g'))\$"
fi

# The node does not see this container's folders: what they hold is listed for it.
sh /opt/nereid/list_backends.sh /opt/tritonserver/backends > /run/triton/backends

mkdir -p /run/triton/recordings

# A server that was killed leaves regions behind, and where shared memory outlives the container they add up.
rm -f "/dev/shm/nereid_${NEREID_NODE_NAME}_"*

# NVIDIA's backends hand the paths of operators' libraries to the system's loader as they are.
cd /var/lib/nereid/model_repository/live

# The same as stack/triton.py says: a span for each request that brings a trace along.
set --
if [ -n "${OTEL_EXPORTER_OTLP_ENDPOINT:-}" ]; then
    set -- --trace-config=mode=opentelemetry --trace-config=level=TIMESTAMPS --trace-config=rate=1000 \
        --trace-config="opentelemetry,url=${OTEL_EXPORTER_OTLP_ENDPOINT%/}/v1/traces" \
        --trace-config=opentelemetry,resource=service.name=triton \
        --trace-config="opentelemetry,resource=service.instance.id=$NEREID_NODE_NAME"
fi

exec tritonserver "$@" \
    --id="$NEREID_NODE_NAME" \
    --model-repository=/var/lib/nereid/model_repository/live \
    --model-control-mode=explicit \
    --model-load-thread-count=4 \
    --strict-readiness=false \
    --exit-on-error=false \
    --exit-timeout-secs=10 \
    --backend-config="python,shm-region-prefix-name=nereid_${NEREID_NODE_NAME}_" \
    --backend-config=traffic,request-log=/run/triton/answered \
    --backend-config="traffic,recordings-asked=/var/lib/nereid/nodes/$NEREID_NODE_NAME/recordings-asked" \
    --backend-config=traffic,recordings=/run/triton/recordings \
    --http-header-forward-pattern="$pattern" \
    --grpc-header-forward-pattern="$pattern" \
    --http-restricted-api="$control" \
    --http-restricted-api="$shm" \
    --grpc-restricted-protocol="$control" \
    --grpc-restricted-protocol="$shm" \
    --metrics-config=counter_latencies=true \
    --metrics-config=summary_latencies=false
