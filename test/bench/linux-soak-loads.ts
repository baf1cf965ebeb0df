/**
 * What runs in the two Linux guests of the soak, as shell scripts. Everything checks itself and writes what is wrong to a
 * file; how far it has come stands in another.
 *
 *   traveller   sums       CPU-bound: the same sum again and again
 *               pages      page dirtier: the same 4 MiB are written again and again; a copy is made anew and compared
 *               files      fetches the large file from the partner, its checksum compared
 *               counters   ethtool -S and the link's count of downs: none goes back, none changes
 *               echo       gives back every line that comes over one TCP connection
 *   partner     replies    fetches small files from the traveller's web server and compares them
 *               lines      one TCP connection for the whole soak, a line at a time
 *               flow       iperf3, until it is told to stop: there, or back
 */
import { PARTNER_IP, TRAVELLER_IP } from '../scenarios/linux-traveller.js';

/** Sizes of the files that the traveller serves, in KiB. */
const SERVED_KIB = [1, 10, 60, 250];
/** Random bytes are dear in a guest; each piece begins with a line of its own. */
const PIECE_MIB = 8;
const ECHO_PORT = 7777;
const SUM_STEPS = 5000;

/** What `sums` comes to. */
function expectedSum(): bigint {
  let n = 1n;
  for (let step = 0; step < SUM_STEPS; step++) n = (n * 1103515245n + 12345n) & 0x7fffffffn;
  return n;
}

/**
 * Has two scripts begin with what both need: where they work, a web server that waits for a client however slow the
 * machine is (it would hang up after a minute), and how a step is recorded.
 */
const COMMON = `
cd /tmp
patient() { sed -i 's/listen 80;/listen 80; send_timeout 2h; keepalive_timeout 2h;/' /etc/nginx/nginx.conf; nginx -s reload; }
wrong() { echo "$*" >>/tmp/www/wrong; }
# how far: written aside, so that nobody reads half a number
far() { echo "$2" >/tmp/far.$1; mv /tmp/far.$1 /tmp/www/$1; }
`;

export const TRAVELLER_SCRIPT = `${COMMON}
case $1 in
all)
  patient
  for kib in ${SERVED_KIB.join(' ')}; do wget -q -O www/check-$kib http://${PARTNER_IP}/check-$kib; done
  for i in 1 2 3 4 5 6 7 8; do cat www/check-250; done >seed
  sum=$(wget -q -O - http://${PARTNER_IP}/blob.md5)
  touch go; echo begun >www/wrong
  sh $0 sums & sh $0 pages & sh $0 files $sum & sh $0 counters & sh $0 echo &
  wait; echo ended >www/ended
  ;;
sums)
  while [ -e go ]; do
    n=1 i=0
    while [ $i -lt ${SUM_STEPS} ]; do n=$(( (n*1103515245+12345) & 0x7fffffff )); i=$((i+1)); done
    [ $n = ${expectedSum()} ] || wrong "sums: $n"
    rounds=$((rounds+1)); far sums $rounds
  done
  ;;
pages)
  while [ -e go ]; do
    cat seed >copy; cmp -s seed copy || wrong "pages: the copy differs"
    for i in 1 2 3 4; do dd if=/dev/zero of=scratch bs=64k count=64 conv=notrunc 2>/dev/null; done
    rounds=$((rounds+1)); far pages $rounds
  done
  ;;
files)
  while [ -e go ]; do
    got=$( (wget -q -O - http://${PARTNER_IP}/blob; echo "wget $?" >ended) | dd bs=64k 2>counted | md5sum)
    case $got in $2*) ;; *) wrong "files: $got, $(cat ended), $(tail -n 1 counted)" ;; esac
    rounds=$((rounds+1)); far files $rounds
  done
  ;;
counters)
  while [ -e go ]; do
    ethtool -S eth0
    echo "link downs: $(cat /sys/class/net/eth0/carrier_down_count)"
    echo end:
    usleep 700000
  done | awk -F: '
    function wrong(text) { print text >>"/tmp/www/wrong"; close("/tmp/www/wrong") }
    /: *[0-9]+ *$/ {
      if (($1 in last) && $2 + 0 < last[$1]) wrong("counters:" $1 " went from " last[$1] " to " $2)
      if ($1 == "link downs" && ($1 in last) && $2 + 0 != last[$1]) wrong("counters: the link went down")
      last[$1] = $2 + 0; seen++
    }
    /^end/ { print seen >"/tmp/www/counters.new"; close("/tmp/www/counters.new"); system("mv /tmp/www/counters.new /tmp/www/counters") }'
  ;;
echo)
  nc -l -p ${ECHO_PORT} -e cat
  ;;
esac
`;

export const partnerScript = (fileMB: number, rateMbps: number): string => `${COMMON}
case $1 in
prepare)
  patient
  echo begun >www/wrong
  for kib in ${SERVED_KIB.join(' ')}; do dd if=/dev/urandom of=www/check-$kib bs=1k count=$kib; done
  dd if=/dev/urandom of=piece bs=1M count=${PIECE_MIB}
  for i in $(seq ${Math.ceil(fileMB / PIECE_MIB)}); do echo "piece $i"; cat piece; done >www/blob
  md5sum www/blob | cut -c1-32 >www/blob.md5
  ;;
all)
  touch go
  sh $0 replies & sh $0 lines &
  wait; echo ended >www/ended
  ;;
replies)
  while [ -e go ]; do
    for kib in ${SERVED_KIB.join(' ')}; do
      wget -q -T 120 -O reply http://${TRAVELLER_IP}/check-$kib && cmp -s reply www/check-$kib || wrong "replies: check-$kib differs"
      rounds=$((rounds+1)); far replies $rounds
      usleep 200000
    done
  done
  ;;
lines)
  i=0
  while [ -e go ]; do i=$((i+1)); echo "line $i"; far lines $i; usleep 500000; done | tee sent | nc ${TRAVELLER_IP} ${ECHO_PORT} >echoed
  cmp -s sent echoed || wrong "lines: $(wc -l <sent) sent, $(wc -l <echoed) came back"
  ;;
flow)
  # its server is away for a moment between two clients
  for i in 1 2 3 4 5 6 7 8 9; do
    iperf3 -c ${TRAVELLER_IP} -t 86400 -b ${rateMbps}M -f k --forceflush $2 >flow 2>&1 & echo $! >flow.pid
    wait
    grep -qE 'busy|refused' flow || break
    sleep 1
  done
  echo flow-ended >>flow
  ;;
esac
`;

/** What a shell types to have a file. */
export const writeFile = (path: string, content: string): string =>
  `cat >${path} <<'END_OF_FILE'\n${content}\nEND_OF_FILE\ntrue`;
