// The certificates that the project names in network.ssl_certificates.
#pragma once

#include <dmsdk/sdk.h>

namespace websocket
{
// Pushes their PEM text; false, and nothing is pushed, if the project names none or they cannot be
// read, which is logged.
bool PushCertificates(lua_State* L, dmConfigFile::HConfig config);

// Sets `ca`, a value on the stack, as params.tls.ca of the params at `index`, unless they have one.
// The script's table stays as it is: the params are replaced by a copy.
void SetCertificates(lua_State* L, int index, int ca);
} // namespace websocket
