#!/bin/sh
# Makes what docker-compose.yml wants in ./secrets: a CA of your own, a certificate for each of the two names in .env, and
# passwords. Passwords and the CA stay when it runs again; certificates live for a year and are made anew.
set -eu
umask 077
cd "$(dirname "$0")/../.."

stop() {
    echo "certificates: $*" >&2
    exit 1
}
[ -f .env ] || stop "there is no .env; copy deploy/compose/example.env to it and put your names in"
. ./.env
for name in "${HOST_KUBELEND:-}" "${HOST_DEX:-}"; do
    case $name in
    "" | .* | -* | *[!a-z0-9.-]* | *[!a-z]) stop "“$name” in .env is no name: HOST_KUBELEND and HOST_DEX want small letters" ;;
    esac
done
# Browsers send a host's cookies to all its ports.
[ "$HOST_KUBELEND" != "$HOST_DEX" ] || stop "HOST_KUBELEND and HOST_DEX in .env have to differ"

# Others on this machine cannot pass through the folder. Its files have to be readable by the users in the containers, whose
# numbers are not yours.
mkdir -p secrets
chmod 700 secrets
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# keep FILE MODE: what comes in becomes the file, at once or not at all.
keep() {
    cat >"$work/new"
    [ -s "$work/new" ] || stop "secrets/$1 would be empty"
    chmod "$2" "$work/new"
    mv -f "$work/new" "secrets/$1"
}
private_key() {
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256
}

# The CA vouches for these two names and nothing else, so that a browser that trusts it trusts no more than them.
names="$HOST_KUBELEND $HOST_DEX"
if [ ! -s secrets/ca.crt ] || [ "$(cat secrets/ca.names 2>/dev/null)" != "$names" ]; then
    cat >"$work/ca.cnf" <<END
[req]
prompt = no
distinguished_name = subject
x509_extensions = extensions
[subject]
CN = Kubelend trial CA
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
nameConstraints = critical, permitted;DNS:$HOST_KUBELEND, permitted;DNS:$HOST_DEX
END
    private_key | keep ca.key 400
    openssl req -x509 -new -sha256 -days 3650 -config "$work/ca.cnf" -key secrets/ca.key | keep ca.crt 444
    echo "$names" | keep ca.names 444
fi

certificate() {
    cat >"$work/extensions.cnf" <<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:$2
END
    private_key >"$work/key"
    openssl req -new -sha256 -key "$work/key" -subj "/CN=Kubelend trial, $1" >"$work/request"
    openssl x509 -req -sha256 -days 365 -in "$work/request" -CA secrets/ca.crt -CAkey secrets/ca.key \
        -set_serial "0x$(openssl rand -hex 15)" -extfile "$work/extensions.cnf" 2>/dev/null >"$work/certificate"
    keep "$1.key" 444 <"$work/key"
    keep "$1.crt" 444 <"$work/certificate"
}
certificate kubelend "$HOST_KUBELEND"
certificate dex "$HOST_DEX"

for password in postgres_password kubelend_password dex_password alice_password bob_password; do
    [ -s "secrets/$password" ] || openssl rand -hex 16 | keep "$password" 444
done
echo "postgres://kubelend:$(cat secrets/kubelend_password)@postgres/kubelend" | keep database_url 444

echo "certificates: made for $HOST_KUBELEND and $HOST_DEX; the CA for browsers and API servers is secrets/ca.crt"
