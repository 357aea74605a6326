# SPDX-License-Identifier: Apache-2.0
"""Switch segmentation and checksum offloads of interfaces off. Standard library only.

    python3 offload.py <interface>...

On a virtual link the kernel hands down packets of up to 64 KB, to be cut by a card that is not
there. On the way into user-mode-linux they are cut at its tap all at once, a burst that its
receive ring loses the end of, again and again: bulk TCP fell to 0.1 MB/s and stalled. Packets
that are cut by the sender keep the sender's pace.
"""

import array
import fcntl
import socket
import struct
import sys

SIOCETHTOOL = 0x8946
# linux/ethtool.h: ETHTOOL_STXCSUM, STSO, SGSO, SGRO
SWITCHES = (0x17, 0x1F, 0x24, 0x2C)


def switch_off(control: socket.socket, name: str) -> None:
    """All of them; one that a driver does not have is off already."""
    for switch in SWITCHES:
        value = array.array("B", struct.pack("=II", switch, 0))
        request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
        try:
            fcntl.ioctl(control, SIOCETHTOOL, request)
        except OSError as error:
            sys.stderr.write(f"{name}: offload {switch:#x}: {error.strerror}\n")


with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control_socket:
    for interface in sys.argv[1:]:
        switch_off(control_socket, interface)
