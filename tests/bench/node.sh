#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Process 1 of a bench node: its own mounts and addresses, then sshd and nothing else.
#
#     node.sh <node directory>
set -eu
home=$1
addresses=$(cat "$home/ip")  # The directory is hidden once /run is the node's own.
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$home/etc,workdir=$home/etc-work" /etc
for name in lib log; do mount --bind "$home/$name" "/var/$name"; done
for name in home run; do mount --bind "$home/$name" "/$name"; done
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /root
hostname "$(cat /etc/hostname)"

# Interfaces are moved in from outside.
tries=0
until [ -e /sys/class/net/data0 ] && [ -e /sys/class/net/mgmt0 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 400 ] || exit 1
    sleep 0.05
done
echo "$addresses" | ip -batch -
exec /usr/sbin/sshd -D -e -f /etc/gameday-lab/sshd_config
