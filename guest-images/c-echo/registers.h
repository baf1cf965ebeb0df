// An 82599 VF as this driver uses it: registers of BAR0, their bits, descriptor bits, PCI and MSI-X.
#pragma once

enum pci_register {
  PCI_ID = 0x00,
  PCI_COMMAND = 0x04,
  PCI_CAPABILITIES = 0x34,
  PCI_SLOTS = 32,
  VF_82599_ID = 0x10ed8086,
  COMMAND_MEMORY_AND_MASTER = 0x6,
  CAPABILITY_MSIX = 0x11,
};
#define MSIX_ENABLE 0x80000000u
#define MSI_ADDRESS 0xfee00000u

enum vf_register {
  VFCTRL = 0x0000,
  VFSTATUS = 0x0008,
  VFLINKS = 0x0010,
  VTEICR = 0x0100,
  VTEIMS = 0x0108,
  VTEIMC = 0x010c,
  VTEIAC = 0x0110,
  VTEIAM = 0x0114,
  VTIVAR = 0x0120,
  VTIVAR_MISC = 0x0140,
  VFMBMEM = 0x0200,
  VFMAILBOX = 0x02fc,
  VFPSRTYPE = 0x0300,
  VTEITR = 0x0820,
  VFRDBAL = 0x1000,
  VFRDBAH = 0x1004,
  VFRDLEN = 0x1008,
  VFRDH = 0x1010,
  VFSRRCTL = 0x1014,
  VFRDT = 0x1018,
  VFRXDCTL = 0x1028,
  VFTDBAL = 0x2000,
  VFTDBAH = 0x2004,
  VFTDLEN = 0x2008,
  VFTDH = 0x2010,
  VFTDT = 0x2018,
  VFTXDCTL = 0x2028,
  VFTDWBAL = 0x2038,
  VFTDWBAH = 0x203c,
  VFGPRC = 0x101c,
  VFGORC_LSB = 0x1020,
  VFGORC_MSB = 0x1024,
  VFMPRC = 0x1034,
  VFGPTC = 0x201c,
  VFGOTC_LSB = 0x2020,
  VFGOTC_MSB = 0x2024,
};

#define CTRL_RST (1u << 26)
#define LINKS_UP (1u << 30)
#define QUEUE_ENABLE (1u << 25)
#define RXDCTL_STRIP_VLAN (1u << 30)
// PTHRESH 36, HTHRESH 8; WTHRESH 0: a write-back as soon as a packet that asked for one is out.
#define TXDCTL_THRESHOLDS 0x00000824u
// One-buffer descriptors, buffers of 2 KiB.
#define SRRCTL_ONE_BUFFER_2K 0x02000402u
#define PSRTYPE_HEADERS 0x00001330u
// 16 us, and bit 31: leave a running interval alone.
#define EITR_16_US 0x80000040u

#define RX_DONE (1u << 0)
#define RX_LAST (1u << 1)
// CE, LE, PE, OSE, USE: the frame is not usable.
#define RX_FRAME_ERRORS 0x3b000000u

// Data descriptor, whole packet, CRC inserted by the card, advanced format.
#define TX_PACKET ((3u << 20) | (1u << 24) | (1u << 25) | (1u << 29))
#define TX_REPORT (1u << 27)
#define TX_DONE (1u << 0)
#define TX_FRAME_BYTES_SHIFT 14
