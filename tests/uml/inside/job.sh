# SPDX-License-Identifier: Apache-2.0
# In a job's new namespaces: the file systems that show namespaces, and fresh state directories.
set -e
mount --make-rprivate /
mount -t proc proc /proc
# A sysfs shows the network namespace it is mounted in.
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup /sys/fs/cgroup
# Named network namespaces are in /run.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /var/lib/gameday
mount -t tmpfs tmpfs /var/lib/gameday
mount -t tmpfs tmpfs /var/tmp
export TMPDIR=/var/tmp
ip link set lo up
exec "$@"
