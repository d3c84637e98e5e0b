"""A bank for tests: a real chain with the contracts, a database, and jobs as rows."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from eth_account import Account as Key
from sqlalchemy import select

from contracts.client import ChainClient
from contracts.deploy import KILN, DeployParams, deploy
from contracts.embedded import EmbeddedChain
from contracts.typed_data import sign_permit
from coordinator.config import ChainSettings, Settings
from coordinator.settlement import domain, sign_receipt
from coordinator.store.database import Database
from coordinator.store.models import Account, Job, Lease, Node, Receipt, Work
from jobs.states import JobState
from jobs.typed_data import order_message, sign
from jobs.wire import AcceptJob, PermitSignature

__all__ = ["Bank"]


class Bank:
    """A chain with the contracts, a database, and jobs as rows."""

    def __init__(self, folder: Path, chain: EmbeddedChain, **params: Any) -> None:
        self.chain = chain
        keys = chain.keys
        addresses_file = folder / "addresses.json"
        self.addresses = deploy(
            chain.url,
            keys.deployer.key,
            keys.coordinator.address,
            keys.treasury.address,
            keys.coordinator.address,
            DeployParams(faucet=keys.faucet.address, **{"grace": 3600, **params}),
            addresses_file=addresses_file,
        )
        key_file = folder / "coordinator.key"
        key_file.write_text("0x" + bytes(keys.coordinator.key).hex())
        self.settings = Settings(
            data=folder,
            origin="http://127.0.0.1",
            database_url=f"sqlite:///{folder}/db",
            broker_url="redis://unused",
            blob_url=f"file://{folder}/blobs",
            chain=ChainSettings(rpc_url=chain.url, addresses_file=addresses_file, coordinator_key_file=key_file),
        )
        self.db = Database(self.settings.database_url)
        self.db.migrate()
        self.view = ChainClient(chain.url, self.addresses, keys.faucet.key)
        self.node = Key.create().address

    def job(self, *, cap: int = 100 * KILN, funds: int = 100 * KILN, prices: tuple[int, ...] = ()) -> str:
        """A job whose order is signed; its tiles have passed at these prices."""
        client = Key.create()
        if funds:
            self.view.transfer(client.address, funds)
        job_id, now = "j" + secrets.token_hex(6), self.db.now()
        deadline = self.view.time() + 3600
        order = sign(
            order_message(domain(self.settings), job=job_id, client=client.address, cap=cap, deadline=deadline),
            bytes(client.key),
        )
        permit = sign_permit(client, value=cap, nonce=0, deadline=deadline, addresses=self.addresses)
        signed = PermitSignature(
            value=cap,
            nonce=0,
            deadline=deadline,
            signature="0x" + (permit.r.rjust(32, b"\0") + permit.s.rjust(32, b"\0") + bytes([permit.v])).hex(),
        )
        accept = AcceptJob(cap=cap, deadline=deadline, order_signature=order, permit=signed)
        with self.db.begin() as session:
            session.add(Account(address=client.address, created_at=now))
            session.flush()
            session.add(
                Job(
                    id=job_id,
                    owner=client.address,
                    idempotency_key=job_id,
                    kind="render",
                    name="",
                    spec={},
                    manifest={},
                    state=str(JobState.OPENING),
                    order=accept.model_dump(mode="json"),
                    cap=cap,
                    created_at=now,
                    deadline=now + 3600,
                )
            )
        for tile, price in enumerate(prices):
            self.passed(job_id, tile, price)
        return job_id

    def passed(self, job_id: str, tile: int, price: int) -> None:
        """A receipt of our node for one tile."""
        now, root = self.db.now(), "0x" + secrets.token_hex(32)
        signed = sign_receipt(
            self.settings, job=job_id, tile=tile, attempt=1, node=self.node, commitment=root, price=price
        )
        with self.db.begin() as session:
            if session.get(Node, self.node) is None:
                session.add(
                    Node(
                        address=self.node,
                        owner=self.node,
                        name="",
                        trusted=False,
                        sandboxed=True,
                        registration={},
                        ask_usd_per_kiln_hour=1.0,
                        region="",
                        registered_at=now,
                        last_seen=now,
                    )
                )
            work = Work(
                job_id=job_id,
                kind="tile",
                index=tile,
                key=str(tile),
                state="done",
                trusted=False,
                runtime="r",
                payload={},
                expected_seconds=1,
                created_at=now,
                excluded=[],
            )
            session.add(work)
            session.flush()
            lease = Lease(
                id="l" + secrets.token_hex(6),
                work_id=work.id,
                job_id=job_id,
                kind="tile",
                node=self.node,
                token=1,
                attempt=1,
                numerics_class="c",
                state="accepted",
                created_at=now,
                expires_at=now,
                last_expiry=now,
                secret=b"s" * 32,
                root=root,
            )
            session.add(lease)
            session.flush()
            session.add(
                Receipt(
                    work_id=work.id,
                    job_id=job_id,
                    tile=tile,
                    attempt=1,
                    lease_id=lease.id,
                    node=self.node,
                    owner=self.node,
                    commitment=root,
                    price=price,
                    lane="exact",
                    auditor=None,
                    signature=signed.signature,
                    leaf=signed.leaf,
                    created_at=now,
                )
            )

    def delivered(self, job_id: str) -> None:
        """A tile that came, and was acknowledged and not judged."""
        self.passed(job_id, 0, KILN)
        with self.db.begin() as session:
            receipt = session.scalars(select(Receipt).where(Receipt.job_id == job_id)).one()
            session.get_one(Lease, receipt.lease_id).completion_signature = "0x" + "00" * 65
            session.delete(receipt)

    def state(self, job_id: str) -> Job:
        with self.db.read() as session:
            return session.get_one(Job, job_id)

    def to_settling(self, job_id: str, outcome: JobState = JobState.DONE) -> None:
        from coordinator.states import change_job

        with self.db.begin() as session:
            change_job(session, session.get_one(Job, job_id), JobState.SETTLING, outcome=str(outcome))
