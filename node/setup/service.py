"""What keeps a node running: a systemd unit, or a container. Printed, never installed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["container_text", "unit_text"]


def unit_text(program: Path, data: Path, user: str) -> str:
    """A unit for systemd. The sandbox needs user namespaces, so none of systemd's own walls takes them away."""
    return f"""[Unit]
Description=kilnet node
Wants=network-online.target
After=network-online.target

[Service]
User={user}
ExecStart="{program}" node start --data "{data}"
Restart=always
RestartSec=10
# A stop gives back what is not finished; that takes a moment.
KillSignal=SIGTERM
TimeoutStopSec=60
Nice=10
NoNewPrivileges=yes
ProtectSystem=full
ReadWritePaths="{data}"
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


def container_text(version: str) -> str:
    """A Containerfile. The container is the outer wall; inside it bubblewrap still walls each job off."""
    return f"""# podman build -t kilnet-node -f Containerfile .
# podman run --rm -v kilnet-node:/data --device nvidia.com/gpu=all --security-opt seccomp=unconfined \\
#   kilnet-node
# In a folder with kilnet-{version}-py3-none-any.whl (pip wheel --no-deps .) and node.json (kilnet node setup).
FROM debian:trixie-slim
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv bubblewrap libegl1 libgl1 \\
      libxi6 libxxf86vm1 libxfixes3 libxrender1 libxkbcommon0 libsm6 && rm -rf /var/lib/apt/lists/*
COPY kilnet-{version}-py3-none-any.whl /tmp/
RUN python3 -m venv /opt/kilnet && /opt/kilnet/bin/pip install --no-cache-dir \\
      "/tmp/kilnet-{version}-py3-none-any.whl[node,cpu,blender]"
RUN useradd --create-home node && install -d -o node /data
COPY --chown=node node.json /data/node.json
USER node
VOLUME /data
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/kilnet/bin/kilnet", "node", "start", "--data", "/data"]
"""
