# SPDX-License-Identifier: Apache-2.0
"""Verdict, report.json, signatures, HTML. Says met, not met or unknown; never touches a node.

finish.finish_run(directory, signer)   judge, render and sign a recorded run
verify.verify_run(directory, trust)    who signed it, or NotVerified
build.build_report(record)             report.json as a dictionary; pure
"""
