/**
 * What the papers report, and what must be said beside a figure of ours: their set-up and this one are not the same.
 * Figures are quoted from the publications' abstracts, slides and first pages.
 */

export const PAPER_NAMES = ['srvm', 'compsc', 'dong', 'huawei', 'sv-nic'] as const;
export type PaperName = (typeof PAPER_NAMES)[number];

export interface Paper {
  readonly title: string;
  readonly source: string;
  /** One sentence each. */
  readonly differs: readonly string[];
}

const HERE =
  'Here every core is a thread of one small machine that the load generator and both hosts share; there each had cores of its own.';
const DRIVER_DOMAIN =
  "Here the driver domain is a thread that copies each packet in shared memory; Xen's was a VM of its own, behind grant tables, event channels and domain switches.";

export const PAPERS: Readonly<Record<PaperName, Paper>> = {
  srvm: {
    title: 'SRVM: hypervisor support for live migration with passthrough SR-IOV network devices',
    source: 'Xu and Davda, VEE 2016',
    differs: [
      HERE,
      'There 10 GbE and TCP through ESXi; here UDP echo of full-size frames, as many as the guest answers (throughput), and at a steady rate (latency).',
      "The method that switches is plugins/dnis: the guest's bond goes over to a virtio NIC for the whole of pre-copy.",
    ],
  },
  compsc: {
    title: 'CompSC: live migration with pass-through devices',
    source: 'Pan, Dong, Chen, Zhang and Zhang, VEE 2012',
    differs: [
      HERE,
      DRIVER_DOMAIN,
      'There netperf with TCP over an 82599; here UDP echo of full-size frames.',
    ],
  },
  dong: {
    title: 'High performance network virtualization with SR-IOV',
    source: 'Dong et al., JPDC 2012',
    differs: [
      HERE,
      "There up to 60 VMs received TCP from another machine; here the card's own thread makes the frames, and every guest checks each.",
      'A guest here is neither a paravirtual nor a hardware VM: its one slope stands beside both of theirs. It is taken at a rate that this machine carries with CPU to spare, theirs at line rate.',
      '9.48 Gb/s is TCP payload on 10 GbE; UDP payload of full-size frames can reach 9.57 Gb/s.',
    ],
  },
  huawei: {
    title: 'Live migration of an SR-IOV VF with hardware and driver help: a prototype',
    source: 'Huawei, slides at KVM Forum',
    differs: [
      HERE,
      'The destination is a fresh process, in which the resume is the first code of its kind to run: in one that a guest has come to before it takes a fifth of the time.',
      "There the VF's driver is Linux's, and its suspend and resume go through libvirt, QEMU and iproute2; here a guest image's driver does both, asked through the same mailbox.",
    ],
  },
  'sv-nic': {
    title: 'Self-virtualizing devices',
    source: 'Raj, Schwan and others, 2006',
    differs: [
      HERE,
      DRIVER_DOMAIN,
      'There the device was an IXP2400 network processor on PCI; here its cores are threads, as the driver domain is one.',
    ],
  },
};
