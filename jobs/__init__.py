"""What a job is: spec, tiles, planner, pricing, manifest, states, wire types and the client SDK.

Stands on nothing else of kilnet; coordinator, node and verification all speak in its words (docs/glossary.md).
"""
