#!/bin/sh
# Makes the certificates of the tests in the directory that is named, by the openssl command.
# Server certificates are NAME.pem (with their chain) and NAME.key, for the host NAME.localhost.
set -eu

directory=$1
mkdir -p "$directory"
cd "$directory"
exec 2>openssl.log

day() {
    # GNU date, then BSD date.
    date -u -d "$1 days" +%Y%m%d%H%M%SZ 2>>openssl.log || date -u -v"$1d" +%Y%m%d%H%M%SZ
}
now=$(day -1)
later=$(day +30)

ec_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
rsa_key() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1"; }

cat > ca.cnf <<'CONFIG'
[ca]
default_ca = default
[default]
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
email_in_dn = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
CONFIG
: > index.txt

# authority NAME: a root that signs itself.
authority() {
    ec_key "$1.key"
    openssl req -new -x509 -config ca.cnf -extensions authority -days 30 \
        -key "$1.key" -subj "/CN=Test $1" -out "$1.pem"
}

# sign NAME ISSUER EXTENSIONS FROM UNTIL: a certificate for NAME.key.
sign() {
    printf '[own]\n%b\n' "$3" > "$1.ext"
    openssl req -new -config ca.cnf -key "$1.key" -subj "/CN=Test $1" -out "$1.csr"
    openssl ca -batch -notext -config ca.cnf -cert "$2.pem" -keyfile "$2.key" \
        -in "$1.csr" -out "$1.pem" -startdate "$4" -enddate "$5" \
        -extfile "$1.ext" -extensions own
}

# server NAME ISSUER [ALTERNATIVE_NAMES [FROM UNTIL]]
server() {
    [ -f "$1.key" ] || ec_key "$1.key"
    sign "$1" "$2" "extendedKeyUsage=serverAuth\nsubjectAltName=${3:-DNS:$1.localhost}" \
        "${4:-$now}" "${5:-$later}"
}

authority root
authority stranger

ec_key intermediate.key
sign intermediate root "basicConstraints=critical,CA:true\nsubjectKeyIdentifier=hash" "$now" "$later"

rsa_key rsa.key
server rsa root
server ecdsa root
server chain intermediate
cat intermediate.pem >> chain.pem
server incomplete intermediate
server wildcard root "DNS:*.wildcard.localhost"
server address root "IP:127.0.0.1,IP:::1"
server expired root "DNS:expired.localhost" "$(day -20)" "$(day -10)"
server future root "DNS:future.localhost" "$(day +10)" "$(day +20)"
server other root "DNS:elsewhere.localhost,DNS:nowhere.localhost"
server stranged stranger
server one root
server two root
cat stranger.pem >> stranged.pem

ec_key selfsigned.key
openssl req -new -x509 -config ca.cnf -days 30 -key selfsigned.key \
    -subj "/CN=Test selfsigned" -addext "subjectAltName=DNS:selfsigned.localhost" -out selfsigned.pem

# client NAME ISSUER [FROM UNTIL]
client() {
    ec_key "$1.key"
    sign "$1" "$2" "extendedKeyUsage=clientAuth" "${3:-$now}" "${4:-$later}"
}
client client root
client impostor stranger
client client-expired root "$(day -20)" "$(day -10)"
client client-chain intermediate
cat client-chain.pem intermediate.pem > client-whole.pem

# The client's key in the other forms that keys come in.
openssl ec -in client.key -out client-sec1.key
rsa_key client-rsa.key
sign client-rsa root "extendedKeyUsage=clientAuth" "$now" "$later"
openssl rsa -traditional -in client-rsa.key -out client-rsa-pkcs1.key
openssl pkcs8 -topk8 -in client.key -passout pass:secret -out client-encrypted.key
openssl pkcs12 -export -in client.pem -inkey client.key -passout pass:secret -out client.p12
openssl pkcs12 -export -in client.pem -inkey client.key -passout pass: -out client-open.p12
openssl pkcs12 -export -in chain.pem -inkey chain.key -passout pass:secret -out chain.p12

# pin FILE: SHA-256 of its SubjectPublicKeyInfo, by openssl's own reading of it.
pin() {
    openssl x509 -in "$1.pem" -pubkey -noout | openssl pkey -pubin -outform DER |
        openssl dgst -sha256 -binary | openssl base64 -A > "$1.pin"
}
pin rsa
pin ecdsa
