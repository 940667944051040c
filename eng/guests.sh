#!/usr/bin/env bash
# Builds the guest that the real figures are measured on: Debian 12 with systemd and udev, which loads its modules as the hardware shows up.
# One disk image for Debian's 6.1 and 6.12 cloud kernels, and what boots each of them. Needs root (debootstrap); nothing is installed on this machine
# but debootstrap and e2fsprogs.
# Usage: eng/guests.sh debian
# Result: $KASLRMT_GUESTS (default ${XDG_CACHE_HOME:-~/.cache}/kaslrmt/guests)/debian/{root.ext4,6.1-cloud/{vmlinuz,initrd},6.12-cloud/{vmlinuz,initrd}}
set -euo pipefail
cd "$(dirname "$0")/.." || exit 4

say() { printf '==> %s\n' "$*"; }

[ "${1:-}" = debian ] || { echo "usage: eng/guests.sh debian" >&2; exit 2; }
cache=${KASLRMT_GUESTS:-${XDG_CACHE_HOME:-$HOME/.cache}/kaslrmt/guests}
result=$cache/debian

# What the guest is made by: another recipe is another guest.
recipe=$(sha256sum eng/guests.sh | cut -c1-16)
if [ -s "$result/root.ext4" ] && [ "$(cat "$result/recipe" 2>/dev/null)" = "$recipe" ]; then
  say "guest debian: in the cache"
  exit 0
fi

[ "$(id -u)" -eq 0 ] || { echo "guests: debootstrap needs root" >&2; exit 4; }
bash eng/setup.sh guests

mirrors() { apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null | awk '$1 == "Debian" {print $2}' | sort -u; }
main=$(mirrors | grep -m1 -v security) || { echo "guests: apt on this machine has no Debian mirror configured" >&2; exit 4; }
security=$(mirrors | grep -m1 security || true)

mkdir -p "$cache"
work=$(mktemp -d "$cache/.debian-XXXXXX")
root=$work/root
log=$cache/debian.log
clean() {
  umount -q "$root/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

fail() { tail -n 15 "$log" >&2; echo "guests: $1 (above are the last lines of $log)" >&2; exit 4; }

say "debian: debootstrap (about two minutes)"
debootstrap --variant=minbase --include=systemd-sysv,udev,kmod,dbus,initramfs-tools,zstd,iproute2,procps \
  bookworm "$root" "$main" >"$log" 2>&1 || fail "debootstrap failed"

say "debian: kernels"
mount -t proc proc "$root/proc"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
{
  echo "deb $main bookworm main"
  [ -z "$security" ] || echo "deb $security bookworm-security main"
} >"$root/etc/apt/sources.list"
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
# An initrd with the modules of every machine, not of the one that builds it; uncompressed it would fill small guests.
printf 'MODULES=most\nCOMPRESS=zstd\n' >"$root/etc/initramfs-tools/conf.d/kaslrmt"
inside apt-get update >>"$log" 2>&1 || fail "apt-get update failed"
kernels=()
for pattern in '^linux-image-6\.1\.0-[0-9]+-cloud-amd64$' '^linux-image-6\.12\.[0-9]+\+deb12-cloud-amd64$'; do
  kernels+=("$(inside apt-cache pkgnames linux-image- | grep -E "$pattern" | sort -V | tail -n 1)")
done
inside apt-get install -y --no-install-recommends "${kernels[@]}" >>"$log" 2>&1 || fail "the kernels could not be installed"

# The same in all guests: they are copies of one image, as a tenant's are.
echo guest >"$root/etc/hostname"
echo 5eedc0ffee5eedc0ffee5eedc0ffee00 >"$root/etc/machine-id"
echo '/dev/vda / ext4 defaults,noatime 0 1' >"$root/etc/fstab"
inside passwd -d root >>"$log" 2>&1
# Timers would fire at different moments.
for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-tmpfiles-clean.timer; do
  inside systemctl mask "$unit" >>"$log" 2>&1 || true
done
cat >"$root/etc/systemd/system/kaslrmt-ready.service" <<'UNIT'
[Unit]
Description=Tell the host that the guest has settled
After=multi-user.target systemd-udev-settle.service
Wants=systemd-udev-settle.service

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sleep 3; echo "kmt ready" >/dev/ttyS0'

[Install]
WantedBy=multi-user.target
UNIT
# After its own target, so that nothing else is still being started.
sed -i 's/^After=multi-user.target/After=getty.target/' "$root/etc/systemd/system/kaslrmt-ready.service"
inside systemctl enable kaslrmt-ready.service >>"$log" 2>&1 || fail "the ready unit could not be enabled"

mkdir -p "$work/ready"
for kernel in "${kernels[@]}"; do
  release=${kernel#linux-image-}
  name=$(cut -d. -f1,2 <<<"$release")-cloud
  mkdir -p "$work/ready/$name"
  cp "$root/boot/vmlinuz-$release" "$work/ready/$name/vmlinuz"
  cp "$root/boot/initrd.img-$release" "$work/ready/$name/initrd"
done

say "debian: disk image"
umount "$root/proc"
inside apt-get clean
rm -rf "${root:?}"/var/lib/apt/lists/* "$root"/boot/* "$root"/var/log/*.log "$root"/var/cache/debconf/*-old
size=$(($(du -sm --apparent-size "$root" | cut -f1) * 5 / 4 + 128))
# A fixed identity and time, so that two builds of the same packages differ as little as can be.
E2FSPROGS_FAKE_TIME=1700000000 mke2fs -q -t ext4 -d "$root" -U 5eedc0ff-ee5e-edc0-ffee-5eedc0ffee00 \
  -E hash_seed=5eedc0ff-ee5e-edc0-ffee-5eedc0ffee01,root_owner=0:0 "$work/ready/root.ext4" "${size}M" >>"$log" 2>&1 || fail "mke2fs failed"
echo "$recipe" >"$work/ready/recipe"
rm -rf "${result:?}"
mv "$work/ready" "$result"
say "guest debian: built in $result"
