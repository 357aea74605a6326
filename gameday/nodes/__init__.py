# SPDX-License-Identifier: Apache-2.0
"""Nodes prepared for gameday, looked at, cleaned of it: Ansible playbooks, testinfra suites."""
