// The certificates that the project names in network.ssl_certificates.
#pragma once

#include <dmsdk/sdk.h>

namespace websocket
{
// Pushes their PEM text; false, and nothing is pushed, if the project names none or they cannot be
// read, which is logged.
bool PushCertificates(lua_State* L, dmConfigFile::HConfig config);

// Sets `ca`, a value on the stack, as params.tls.ca of the params at `params`, unless they have one.
void SetCertificates(lua_State* L, int params, int ca);
} // namespace websocket
