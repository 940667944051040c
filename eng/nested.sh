#!/usr/bin/env bash
# Builds the bed in which the agent is tested under real systemd: a Debian 12 guest with systemd, dbus and QEMU, in which VMs run (VMs in a VM).
# Needs root (debootstrap). Nothing is installed on this machine but debootstrap and e2fsprogs.
# Usage: eng/nested.sh
# Result: $KASLRMT_NESTED (default ${XDG_CACHE_HOME:-~/.cache}/kaslrmt/nested)/bed/{root.ext4,vmlinuz,initrd}
#   In the guest, /usr/lib/bed/{vmlinuz,initrd} is what its own VMs boot; that initrd prints READY and then forks for ever, so that a VM that runs is seen to run.
#   The guest mounts its second disk (/dev/vdb, ext4) at /bed, runs /bed/driver with its output on ttyS1, and powers off when the driver ends.
set -euo pipefail
cd "$(dirname "$0")/.." || exit 4

say() { printf '==> %s\n' "$*"; }

cache=${KASLRMT_NESTED:-${XDG_CACHE_HOME:-$HOME/.cache}/kaslrmt/nested}
result=$cache/bed
# The first-level guest's kernel. The cloud flavour has ext4 built in, and KVM as modules.
kernel=6.1-cloud
kernels=${KASLRMT_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/kaslrmt/kernels}
bash eng/kernels.sh "$kernel"

# What the guest is made by: another recipe or another kernel package is another guest.
recipe=$(cat eng/nested.sh "$kernels/$kernel/package" | sha256sum | cut -c1-16)
if [ -s "$result/root.ext4" ] && [ "$(cat "$result/recipe" 2>/dev/null)" = "$recipe" ]; then
  say "nested guest: in the cache"
  exit 0
fi

[ "$(id -u)" -eq 0 ] || { echo "nested: debootstrap needs root" >&2; exit 4; }
bash eng/setup.sh guests

mirrors() { apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | awk '$1 == "Debian" {print $2}' | sort -u; }
main=$(mirrors | grep -m1 -v security) || { echo "nested: apt on this machine has no Debian mirror configured" >&2; exit 4; }

mkdir -p "$cache"
# Two runs at a time must not build the same guest.
exec 9>"$cache/lock"
flock 9
work=$(mktemp -d "$cache/.bed-XXXXXX")
root=$work/root
log=$cache/bed.log
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT TERM

fail() { tail -n 15 "$log" >&2; echo "nested: $1 (above are the last lines of $log)" >&2; exit 4; }

# debootstrap installs no recommended package: QEMU comes without its graphical parts.
packages=(systemd systemd-sysv dbus kmod procps util-linux socat python3-minimal
          qemu-system-x86 busybox-static libssl3 libstdc++6 liblz4-1 libzstd1 liblzma5 libbz2-1.0 liblzo2-2)
say "nested guest: debootstrap (about two minutes)"
debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" bookworm "$root" "$main" >"$log" 2>&1 || fail "debootstrap failed"

say "nested guest: disk image"
inside() { chroot "$root" env LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
echo bed >"$root/etc/hostname"
: >"$root/etc/fstab"
inside passwd -d root >>"$log" 2>&1
mkdir -p "$root/bed" "$root/usr/lib/modules"
cp -a "$kernels/$kernel/modules/." "$root/usr/lib/modules/"
release=$(basename "$kernels/$kernel/modules"/*)
inside depmod "$release"
# Nothing that only costs start-up time; each is an emulated processor's time.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
            systemd-tmpfiles-clean.timer getty@tty1.service getty.target console-getty.service serial-getty@ttyS0.service \
            systemd-journal-flush.service systemd-random-seed.service systemd-update-utmp.service systemd-networkd.service; do
  inside systemctl mask "$unit" >>"$log" 2>&1 || true
done
mkdir -p "$root/etc/systemd/journald.conf.d"
mkdir -p "$root/etc/sysctl.d"
# Unprivileged processes of one user may not read each other, as on Ubuntu and hardened hosts.
echo 'kernel.yama.ptrace_scope = 1' >"$root/etc/sysctl.d/bed.conf"
printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\n' >"$root/etc/systemd/journald.conf.d/bed.conf"
cat >"$root/etc/systemd/system/bed.service" <<'UNIT'
[Unit]
Description=Run the driver of the second disk, then power off
After=basic.target dbus.service

[Service]
Type=oneshot
TimeoutStartSec=infinity
# The driver must outlive every shortage of memory that it causes.
OOMScoreAdjust=-1000
ExecStart=/bin/sh -c 'mount -t ext4 -o ro /dev/vdb /bed && exec /bed/driver >/dev/ttyS1 2>&1'
ExecStopPost=/bin/sh -c 'echo "END $SERVICE_RESULT $EXIT_STATUS" >/dev/ttyS1; poweroff -f'

[Install]
WantedBy=multi-user.target
UNIT
inside systemctl enable bed.service >>"$log" 2>&1 || fail "the driver's unit could not be enabled"

# initramfs FOLDER FILE
initramfs() { (cd "$1" && find . | busybox cpio -o -H newc 2>>"$log" | gzip -1) >"$2"; }
vm=$work/vm
mkdir -p "$vm"/{bin,proc} "$root/usr/lib/bed"
cp "$root/bin/busybox" "$vm/bin/busybox"
cat >"$vm/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc p /proc
/bin/busybox echo "READY $(/bin/busybox cut -d' ' -f1 /proc/uptime)"
while :; do /bin/busybox sleep 1; done
INIT
chmod 755 "$vm/init"
initramfs "$vm" "$root/usr/lib/bed/initrd"
cp "$kernels/$kernel/vmlinuz" "$root/usr/lib/bed/vmlinuz"

rm -rf "${root:?}"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/usr/share/{doc,man,locale,info}/* "$root"/var/log/*.log
size=$(($(du -sm --apparent-size "$root" | cut -f1) * 5 / 4 + 256))
mkdir -p "$work/ready"
mke2fs -q -t ext4 -d "$root" -E root_owner=0:0 "$work/ready/root.ext4" "${size}M" >>"$log" 2>&1 || fail "mke2fs failed"

# The disk's driver is a module in Debian's kernels, so a small initramfs loads it.
first=$work/first
mkdir -p "$first"/{bin,proc,dev,m,root}
cp "$root/bin/busybox" "$first/bin/busybox"
# With what they need, in the order in which they must be loaded.
names=()
while read -r module; do
  cp "$root$module" "$first/m/"
  names+=("$(basename "$module")")
done < <(for name in virtio_pci virtio_blk; do inside modprobe -S "$release" --show-depends "$name"; done | awk '$1 == "insmod" && !seen[$2]++ {print $2}')
cat >"$first/init" <<INIT
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs d /dev
for name in ${names[*]}; do /bin/busybox insmod /m/\$name; done
/bin/busybox mount -t ext4 /dev/vda /root || exec /bin/busybox poweroff -f
/bin/busybox umount /dev
exec /bin/busybox switch_root /root /sbin/init
INIT
chmod 755 "$first/init"
initramfs "$first" "$work/ready/initrd"
cp "$kernels/$kernel/vmlinuz" "$work/ready/vmlinuz"
echo "$recipe" >"$work/ready/recipe"
rm -rf "${result:?}"
mv "$work/ready" "$result"
say "nested guest: built in $result ($(du -m "$result/root.ext4" | cut -f1) MiB)"
