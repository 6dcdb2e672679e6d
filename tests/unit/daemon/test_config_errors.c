/* Config errors: file, line, column, what was wrong and what would be right, word for word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "daemon/config.h"
#include "daemon/config_errors.h"

/* Texts may hold NUL. */
#define TEXT(literal) literal, sizeof(literal) - 1
#define LISTEN "listen: [{unix: {path: /x}}]\n"
#define PROFILE "profiles: {p: {dns: [a.example]}}\n"

/* The errors of a text, a line each, without the file's name. The caller owns them. */
static char *errors_of(const char *text, size_t len)
{
	struct config *c = NULL;
	struct config_errors *e = NULL;
	struct buf all = BUF_INIT, ret = BUF_INIT;
	struct fault *f = config_load_text("x.yaml", text, len, &c, &e);
	if (!f) {
		assert_null(e);
		config_free(c);
		return mem_strdup("");
	}
	assert_null(c);
	assert_int_equal(fault_code(f), FAULT_INVALID);
	fault_free(f);
	config_errors_text(e, &all);
	for (const char *line = buf_text(&all); *line;) {
		size_t n = strcspn(line, "\n") + 1;
		assert_int_equal(strncmp(line, "x.yaml:", 7), 0);
		buf_add(&ret, line + 6, n - 6);
		line += n;
	}
	buf_free(&all);
	config_errors_free(e);
	return buf_take_text(&ret);
}

static void assert_errors(const char *text, size_t len, const char *expected)
{
	AUTO(mem_freep) char *found = errors_of(text, len);
	if (strcmp(found, expected) != 0)
		fail_msg("%s\nsays\n%s\ninstead of\n%s", text, found, expected);
}

static void test_errors(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len;
		const char *errors;
	} cases[] = {
		/* YAML itself, and what of it is not taken. */
		{TEXT("listen:\n"
		      "  a\000b\n"),
			":2:4: a NUL byte; a config is text\n"},
		{TEXT("listen:\n"
		      "  - \"\351\n"),
			":2:6: bytes that are not UTF-8; save the file as UTF-8\n"},
		{TEXT("listen:\n"
		      "  - \"\\0\"\n"),
			":2:5: a text with a NUL in it; remove the NUL\n"},
		{TEXT("listen:\n"
		      "  - \001\n"),
			":2:5: a character that YAML does not allow; remove it\n"},
		{TEXT("listen: [a\n"), ":2:1: not YAML: did not find expected ',' or ']', while parsing a flow "
				       "sequence; a text that holds any of {}[],:#&*!|>%@` needs double quotes\n"},
		{TEXT("listen:\n"
		      "\t- unix\n"),
			":2:1: not YAML: found character that cannot start any token, while scanning for the next "
			"token; YAML is indented with spaces, not with tabs\n"},
		{TEXT("listen: [{unix: {path: {x}/a}}]\n"),
			":1:27: not YAML: did not find expected ',' or '}', while parsing a flow mapping; a text that "
			"holds any of {}[],:#&*!|>%@` needs double quotes\n"},
		{TEXT(""), ": there is nothing in it; a config begins with \"listen:\"\n"},
		{TEXT("# nothing\n"), ": there is nothing in it; a config begins with \"listen:\"\n"},
		{TEXT(LISTEN "---\n"
			     "x: 1\n"),
			":2:1: a second document (\"---\"); a config is one document\n"},
		{TEXT("listen: &a [{unix: {path: /x}}]\n"),
			":1:9: anchors (\"&\") are not taken; write out what is meant\n"},
		{TEXT("listen: *a\n"),
			":1:9: aliases (\"*\") are not taken; a text that begins with \"*\" needs quotes\n"},
		{TEXT("listen: !!seq [{unix: {path: /x}}]\n"),
			":1:9: tags (\"!\") are not taken; a text that begins with \"!\" needs quotes\n"},
		{TEXT(LISTEN "log: {<<: {level: info}}\n"),
			":2:7: merge keys (\"<<\") are not taken; write out what is merged\n"},
		{TEXT("listen: [{unix: {path: /x}}]\n"
		      "listen: [{unix: {path: /x}}]\n"),
			":2:1: key \"listen\" is there twice, first in line 1; keep one of them\n"},
		{TEXT(LISTEN "secrets: {[a]: b}\n"), ":2:11: a key is a list; a key is a text\n"},
		{TEXT("- a\n"),
			":1:1: the config is a list; it takes a mapping with workers, log, drain, repush, state, "
			"admin, audit, limits, trust, authorities, profiles, secrets, listen, policy, hooks\n"},
		{TEXT("x"),
			":1:1: the config is \"x\"; it takes a mapping with workers, log, drain, repush, state, admin, "
			"audit, limits, trust, authorities, profiles, secrets, listen, policy, hooks\n"},
		/* Keys. */
		{TEXT("workers: 1\n"),
			":1:1: \"listen\" is missing in the config; it is the list of places where proxies connect\n"},
		{TEXT(LISTEN "worker: 1\n"),
			":2:1: unknown key \"worker\" in the config; did you mean \"workers\"? There are: workers, "
			"log, drain, repush, state, admin, audit, limits, trust, authorities, profiles, secrets, "
			"listen, "
			"policy, hooks\n"},
		{TEXT(LISTEN "zzzzzz: 1\n"),
			":2:1: unknown key \"zzzzzz\" in the config; there are: workers, log, "
			"drain, repush, state, admin, "
			"audit, limits, trust, authorities, profiles, secrets, listen, policy, hooks\n"},
		{TEXT(LISTEN "log: {levle: info}\n"),
			":2:7: unknown key \"levle\" in log; did you mean \"level\"? There are: level, format\n"},
		{TEXT(LISTEN "log:\n"), ":2:5: log is nothing; it takes a mapping with level, format\n"},
		{TEXT(LISTEN "log: [a]\n"), ":2:6: log is a list; it takes a mapping with level, format\n"},
		/* Values. */
		{TEXT(LISTEN "workers: 0\n"), ":2:10: workers is \"0\"; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers: 65\n"), ":2:10: workers is \"65\"; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers: many\n"), ":2:10: workers is \"many\"; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers: -1\n"), ":2:10: workers is \"-1\"; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers: [1]\n"), ":2:10: workers is a list; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers: 1.5\n"), ":2:10: workers is \"1.5\"; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers:\n"), ":2:9: workers is nothing; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers: 01\n"), ":2:10: workers is \"01\"; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "workers: 99999999999999999999\n"),
			":2:10: workers is \"99999999999999999999\"; it takes a whole number from 1 to 64\n"},
		{TEXT(LISTEN "log: {level: warning}\n"), ":2:14: log.level is \"warning\"; did you mean \"warn\"? "
							 "There are: error, warn, info, debug\n"},
		{TEXT(LISTEN "log: {format: xml}\n"), ":2:15: log.format is \"xml\"; there are: auto, json, text\n"},
		{TEXT(LISTEN "drain: {grace: 10}\n"),
			":2:16: drain.grace is \"10\"; it takes a duration from 0s to 1h, such as \"30s\"\n"},
		{TEXT(LISTEN "drain: {grace: 2h}\n"),
			":2:16: drain.grace is \"2h\"; it takes a duration from 0s to 1h, such as \"30s\"\n"},
		{TEXT(LISTEN "drain: {grace: 1m1h}\n"),
			":2:16: drain.grace is \"1m1h\"; it takes a duration from 0s to 1h, such as \"30s\"\n"},
		{TEXT(LISTEN "state: {path: lib}\n"),
			":2:15: state.path is \"lib\"; it takes an absolute path of at most 4095 bytes\n"},
		{TEXT(LISTEN "state: {path: {a: b}}\n"),
			":2:15: state.path is a mapping; it takes an absolute path of at most 4095 bytes\n"},
		{TEXT(LISTEN "limits: {streams_per_connection: 100, names_per_stream: 0}\n"),
			":2:34: limits.streams_per_connection is \"100\"; it takes a whole number from 1024 to "
			"1000000\n"
			":2:57: limits.names_per_stream is \"0\"; it takes a whole number from 1 to 100000\n"},
		/* Listeners. */
		{TEXT("listen: {unix: {path: /x}}\n"), ":1:9: listen is a mapping; it takes a list of listeners\n"},
		{TEXT("listen: []\n"),
			":1:9: listen has no listener for proxies; give it a \"unix\" or a \"tcp\" one\n"},
		{TEXT("listen: [unix]\n"),
			":1:10: listen[0] is \"unix\"; it takes a mapping with one key: unix, tcp or telemetry\n"},
		{TEXT("listen: [{unix: {path: /x}, tcp: {}}]\n"),
			":1:10: listen[0] has 2 keys; it takes one: unix, tcp or telemetry\n"},
		{TEXT("listen: [{unx: {path: /x}}]\n"), ":1:11: unknown key \"unx\" in listen[0]; did you mean "
							"\"unix\"? There are: unix, tcp, telemetry\n"},
		{TEXT("listen: [{unix: {}}]\n"),
			":1:17: \"path\" is missing in listen[0].unix; it is the path of the socket\n"},
		{TEXT("listen: [{unix: {path: x}}]\n"),
			":1:24: listen[0].unix.path is \"x\"; it takes an absolute path of at most 103 bytes\n"},
		{TEXT("listen: [{unix: {path: /x, mode: 660}}]\n"),
			":1:34: listen[0].unix.mode is \"660\"; it takes a file mode as four octal digits in quotes, "
			"such as \"0660\"\n"},
		{TEXT("listen: [{unix: {path: /x, mode: \"0668\"}}]\n"),
			":1:34: listen[0].unix.mode is \"0668\"; it takes a file mode as four octal digits in quotes, "
			"such as \"0660\"\n"},
		{TEXT("listen: [{unix: {path: /x, group: no-such-group}}]\n"),
			":1:35: listen[0].unix.group is \"no-such-group\", and this host has no such group; give a "
			"name that it has, or a number\n"},
		{TEXT("listen: [{unix: {path: /x, owner: no-such-user}}]\n"),
			":1:35: listen[0].unix.owner is \"no-such-user\", and this host has no such user; give a name "
			"that it has, or a number\n"},
		{TEXT("listen: [{unix: {path: "
		      "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		      "xxxxxxxxxxxxxxx}}]\n"),
			":1:24: listen[0].unix.path is "
			"\"/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"; it takes an absolute path "
			"of at most 103 bytes\n"},
		{TEXT("listen: [{telemetry: {address: \"127.0.0.1:9902\"}}]\n"),
			":1:9: listen has no listener for proxies; give it a \"unix\" or a \"tcp\" one\n"},
		{TEXT(LISTEN "admin: {path: /x}\n"),
			":2:8: admin.path is \"/x\", and so is listen[0].unix.path; change one\n"},
		{TEXT("listen:\n"
		      "  - unix: {path: /x}\n"
		      "  - unix: {path: /x}\n"),
			":3:5: listen[1] listens at \"/x\", and so does one before it; remove one\n"},
		{TEXT(PROFILE "listen:\n"
			      "  - tcp: {address: \"localhost:1\", certificate: {profile: p}, client_ca: [builtin]}\n"),
			":3:20: listen[0].tcp.address is \"localhost:1\"; it takes an address and a port, such as "
			"\"127.0.0.1:8443\" or \"[::1]:8443\"\n"},
		{TEXT(PROFILE
			 "listen:\n"
			 "  - tcp: {address: \"127.0.0.1:65536\", certificate: {profile: p}, client_ca: [builtin]}\n"),
			":3:20: listen[0].tcp.address is \"127.0.0.1:65536\"; it takes an address and a port, such as "
			"\"127.0.0.1:8443\" or \"[::1]:8443\"\n"},
		{TEXT(PROFILE "listen:\n"
			      "  - tcp: {address: \"::1:80\", certificate: {profile: p}, client_ca: [builtin]}\n"),
			":3:20: listen[0].tcp.address is \"::1:80\"; it takes an address and a port, such as "
			"\"127.0.0.1:8443\" or \"[::1]:8443\"\n"},
		{TEXT(PROFILE "listen:\n"
			      "  - tcp: {address: \"127.0.0.1\", certificate: {profile: p}, client_ca: [builtin]}\n"),
			":3:20: listen[0].tcp.address is \"127.0.0.1\"; it takes an address and a port, such as "
			"\"127.0.0.1:8443\" or \"[::1]:8443\"\n"},
		{TEXT("listen:\n"
		      "  - tcp: {address: \"127.0.0.1:1\"}\n"),
			":2:10: \"certificate\" is missing in listen[0].tcp; it is the server's own certificate, a "
			"leaf that is renewed in place\n"
			":2:10: \"client_ca\" is missing in listen[0].tcp; it is the list of authorities whose clients "
			"may connect\n"},
		{TEXT(PROFILE "listen:\n"
			      "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: []}\n"),
			":3:73: listen[0].tcp.client_ca is a list of 0; it takes a list of 1 to 64 authorities\n"},
		{TEXT(PROFILE "listen:\n"
			      "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: [builtin, "
			      "builtin]}\n"),
			":3:83: listen[0].tcp.client_ca[1] is \"builtin\", which is in the list already; keep one\n"},
		{TEXT(PROFILE "listen:\n"
			      "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: [mesh]}\n"),
			":3:74: listen[0].tcp.client_ca[0] is \"mesh\", and there is no such authority; there are: "
			"builtin\n"},
		{TEXT(PROFILE "listen:\n"
			      "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: builtin}\n"),
			":3:73: listen[0].tcp.client_ca is \"builtin\"; it takes a list of 1 to 64 authorities\n"},
		{TEXT("profiles: {p: {uri: [\"spiffe://td/{uid}\"]}}\n"
		      "listen:\n"
		      "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: [builtin]}\n"),
			":3:48: listen[0].tcp.certificate is made from {uid}, and a listener's own certificate has no "
			"caller; give dns, uri, ip and email without variables ([] for none)\n"},
		{TEXT(PROFILE "secrets: {\"listen 127.0.0.1:1\": {profile: p}}\n"
			      "listen:\n"
			      "  - tcp: {address: \"127.0.0.1:1\", certificate: {profile: p}, client_ca: [builtin]}\n"),
			":4:48: the secret \"listen 127.0.0.1:1\" has the name of this listener's own certificate; "
			"rename it\n"},
		/* Authorities. */
		{TEXT(LISTEN "authorities: {a: {type: istio, address: x}}\n"),
			":2:25: authorities.a.type is \"istio\", which this leafcast does not have; there are: "
			"builtin, step, vault, exec\n"},
		{TEXT(LISTEN "authorities: {a: {}}\n"),
			":2:18: \"type\" is missing in authorities.a; it is the kind of authority\n"},
		{TEXT(LISTEN "authorities: {a: {type: builtin, key: rsa-1024}}\n"),
			":2:39: authorities.a.key is \"rsa-1024\"; did you mean \"rsa-2048\"? There are: ecdsa-p256, "
			"ecdsa-p384, rsa-2048, rsa-3072, rsa-4096\n"},
		{TEXT(LISTEN "authorities: {a: {type: builtin, key_file: /k}}\n"),
			":2:18: authorities.a has key_file without certificate_file; give both, or none for a CA that "
			"leafcast makes\n"},
		{TEXT(LISTEN "authorities: {a: {type: builtin, key_password_file: /k}}\n"),
			":2:34: authorities.a has a key_password_file without a key_file; give the key_file that it "
			"opens\n"},
		{TEXT(LISTEN "authorities: {a: {type: builtin, certificate_file: /c, key_file: /k, common_name: x}}\n"),
			":2:70: authorities.a has a common_name and a certificate_file, which has its own; remove "
			"one\n"},
		{TEXT(LISTEN "authorities: [a]\n"),
			":2:14: authorities is a list; it takes a mapping from names to authorities\n"},
		{TEXT(LISTEN "authorities: {a: builtin}\n"),
			":2:18: authorities.a is \"builtin\"; it takes a mapping with type, key, common_name, "
			"certificate_file, key_file, key_password_file, max_in_flight, rate\n"},
		{TEXT(LISTEN "authorities: {\"\": {type: builtin}}\n"),
			":2:15: a name in authorities has 0 bytes; a name has 1 to 1024\n"},
		{TEXT(LISTEN "authorities: {a: {type: builtin, common_name: "
			     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}}\n"),
			":2:47: authorities.a.common_name is "
			"\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"; it takes a text of 1 to 64 "
			"bytes\n"},
		/* Profiles. */
		{TEXT(LISTEN "profiles: {p: {authority: mesh}}\n"), ":2:27: profiles.p.authority is \"mesh\", and "
								    "there is no such authority; there are: builtin\n"},
		{TEXT(LISTEN "authorities: {a: {type: builtin}, b: {type: builtin}}\n"
			     "profiles: {p: {}}\n"),
			":3:15: \"authority\" is missing in profiles.p, and there is not exactly one to choose; there "
			"are: a, b\n"},
		{TEXT(LISTEN "profiles: {p: {key: ed25519}}\n"),
			":2:21: profiles.p.key is \"ed25519\"; there are: ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, "
			"rsa-4096\n"},
		{TEXT(LISTEN "profiles: {p: {lifetime: 5s}}\n"), ":2:26: profiles.p.lifetime is \"5s\"; it takes a "
								 "duration from 10s to 825d, such as \"30s\"\n"},
		{TEXT(LISTEN "profiles: {p: {lifetime: 900d}}\n"), ":2:26: profiles.p.lifetime is \"900d\"; it takes a "
								   "duration from 10s to 825d, such as \"30s\"\n"},
		{TEXT(LISTEN "profiles: {p: {renew: {from: 70%, to: 50%}}}\n"),
			":2:23: profiles.p.renew is from 70% to 50%; \"from\" must be less than \"to\"\n"},
		{TEXT(LISTEN "profiles: {p: {renew: {from: 5%, to: 90%}}}\n"),
			":2:30: profiles.p.renew.from is \"5%\"; it takes a percentage from 10% to 79%\n"
			":2:38: profiles.p.renew.to is \"90%\"; it takes a percentage from 11% to 80%\n"},
		{TEXT(LISTEN "profiles: {p: {renew: {from: 50}}}\n"),
			":2:30: profiles.p.renew.from is \"50\"; it takes a percentage from 10% to 79%\n"},
		{TEXT(LISTEN "profiles: {p: {lifetime: 24h, renew: {before: {from: 4h, to: 8h}}}}\n"),
			":2:47: profiles.p.renew.before is from 4h to 8h; \"from\" must be more than \"to\"\n"},
		{TEXT(LISTEN "profiles: {p: {lifetime: 10h, renew: {before: {from: 8h, to: 1h}}}}\n"),
			":2:47: profiles.p.renew.before does not fit a life of 10h: \"from\" is at most 9h, \"to\" at "
			"least 2h\n"},
		{TEXT(LISTEN "profiles: {p: {renew: {before: {from: 40m}}}}\n"),
			":2:32: \"to\" is missing in profiles.p.renew.before; it is and at the latest; the moment "
			"between is drawn\n"},
		{TEXT(LISTEN "profiles: {p: {renew: {from: 50%, before: {from: 40m, to: 20m}}}}\n"),
			":2:43: profiles.p.renew has \"before\" and a window in percent; it takes one of them\n"},
		{TEXT(LISTEN "profiles: {p: {dns: a.example}}\n"),
			":2:21: profiles.p.dns is \"a.example\"; it takes a list of DNS names\n"},
		{TEXT(LISTEN "profiles: {p: {dns: [a..b]}}\n"),
			":2:22: profiles.p.dns[0]: \"a..b\" is no DNS name; an example: web.example or *.example\n"},
		{TEXT(LISTEN "profiles: {p: {uri: [\"spiffe://td/{name}\"]}}\n"),
			":2:22: profiles.p.uri[0]: column 13: there is no variable {name}; there are: {uid}, {gid}, "
			"{uri}, {dns}, {spiffe.trust_domain}, {spiffe.path}\n"},
		{TEXT(LISTEN "profiles: {p: {uri: [\"spiffe://td/{uid\"]}}\n"),
			":2:22: profiles.p.uri[0]: column 13: \"{\" without its \"}\"; a brace as such is written "
			"\"{{\"\n"},
		{TEXT(LISTEN "profiles: {p: {ip: [10.0.0.256]}}\n"), ":2:21: profiles.p.ip[0]: \"10.0.0.256\" is no IP "
								     "name; an example: 192.0.2.1 or 2001:db8::1\n"},
		{TEXT(LISTEN "profiles: {p: {email: [{}]}}\n"),
			":2:24: profiles.p.email[0] is a mapping; it takes a text\n"},
		/* Secrets. */
		{TEXT(LISTEN "secrets: {web: {}}\n"), ":2:16: secrets.web has neither profile nor bundle; a "
						      "certificate has a profile, a trust bundle has a bundle\n"},
		{TEXT(LISTEN PROFILE "secrets: {web: {profile: p, bundle: [builtin]}}\n"),
			":3:16: secrets.web has both profile and bundle; a certificate has a profile, a trust bundle "
			"has a bundle\n"},
		{TEXT(LISTEN PROFILE "secrets: {web: {profile: q}}\n"),
			":3:26: secrets.web.profile is \"q\", and there is no such profile; there are: p\n"},
		{TEXT(LISTEN PROFILE "secrets: {web: {profile: p, dns: []}}\n"),
			":3:16: secrets.web has no name for its certificate, nor has profile \"p\"; give it dns, uri, "
			"ip or email\n"},
		{TEXT(LISTEN "secrets: {roots: {bundle: []}}\n"),
			":2:27: secrets.roots.bundle is a list of 0; it takes a list of 1 to 64 authorities\n"},
		{TEXT(LISTEN "secrets: {roots: {bundle: [builtin], dns: [a]}}\n"),
			":2:38: secrets.roots is a bundle, which has no dns; remove it\n"},
		{TEXT(LISTEN "secrets: {roots: {bundle: [{a: b}]}}\n"),
			":2:28: secrets.roots.bundle[0] is a mapping, and there is no such authority; there are: "
			"builtin\n"},
		{TEXT(LISTEN "secrets: {web: p}\n"), ":2:16: secrets.web is \"p\"; it takes a mapping with profile, "
						     "dns, uri, ip, email, on_expiry, bundle\n"},
		{TEXT(LISTEN PROFILE "secrets: {\"a\\e[31mb\": {profile: x}}\n"),
			":3:33: secrets.a\\x1b[31mb.profile is \"x\", and there is no such profile; there are: p\n"},
		/* Policy. */
		/* Hooks. */
		{TEXT(LISTEN "hooks: {h: {command: [/h]}}\n"), ":2:12: \"events\" is missing in hooks.h; it is when it "
							       "is run: a new version is served, an issuance "
							       "failed, little is left of a life\n"},
		{TEXT(LISTEN "hooks: {h: {command: [h, /x], events: [rotated]}}\n"),
			":2:22: hooks.h.command does not begin with an absolute path; it takes a list of 1 to 64 "
			"texts, the "
			"first one an absolute path\n"},
		{TEXT(LISTEN "hooks: {h: {command: /h, events: rotated}}\n"),
			":2:22: hooks.h.command is \"/h\"; it takes a list of 1 to 64 texts, the first one an absolute "
			"path\n"
			":2:34: hooks.h.events is \"rotated\"; it takes a list of rotated, failed, expiring, each "
			"once\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: []}}\n"),
			":2:36: hooks.h.events is an empty list; it takes a list of rotated, failed, expiring, each "
			"once\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: [rotate, failed, failed]}}\n"),
			":2:37: hooks.h.events[0] is \"rotate\"; did you mean \"rotated\"? There are: rotated, failed, "
			"expiring\n"
			":2:53: hooks.h.events[2] is \"failed\" a second time; remove it\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: [expiring], life_below: 0%}}\n"),
			":2:60: hooks.h.life_below is \"0%\"; it takes a part of its life from 1% to 90%, or a "
			"duration from "
			"1s to 3650d\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: [failed], life_below: 10%}}\n"),
			":2:46: hooks.h is not run for \"expiring\", so life_below means nothing; remove it\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: [failed], environment: [A-B]}}\n"),
			":2:59: hooks.h.environment has something that is no name of a variable; values stand in "
			"leafcast's own "
			"environment\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: [failed], environment: [LEAFCAST_ERROR]}}\n"),
			":2:59: hooks.h.environment has \"LEAFCAST_ERROR\"; names that begin with LEAFCAST_ are the "
			"event's "
			"own\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: [failed], secrets: []}}\n"),
			":2:55: hooks.h.secrets is an empty list; name a secret, or remove the key\n"},
		{TEXT(LISTEN "hooks: {h: {command: [/h], events: [failed], timeout: 1ms}}\n"),
			":2:55: hooks.h.timeout is \"1ms\"; it takes a duration from 100ms to 10m, such as \"30s\"\n"},
		{TEXT(LISTEN "policy: {who: {}}\n"), ":2:9: policy is a mapping; it takes a list of rules\n"},
		{TEXT(LISTEN "policy: [{may: [a]}]\n"), ":2:10: \"who\" is missing in policy[0]; it is whom the rule "
							"is about: every key that is given must hold; {} is nobody\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 1}}]\n"),
			":2:10: policy[0] gives and takes nothing; a rule has \"may\", \"deny\" or both\n"},
		{TEXT(LISTEN "policy: [{who: {uid: root}, may: [a]}]\n"),
			":2:22: policy[0].who.uid is \"root\"; it takes a whole number from 0 to 4294967294\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 4294967295}, may: [a]}]\n"),
			":2:22: policy[0].who.uid is \"4294967295\"; it takes a whole number from 0 to 4294967294\n"},
		{TEXT(LISTEN "policy: [{who: {user: 1}, may: [a]}]\n"),
			":2:17: unknown key \"user\" in policy[0].who; there are: uid, gid, uri, dns, ca\n"},
		{TEXT(LISTEN "policy: [{who: {ca: mesh}, may: [a]}]\n"),
			":2:21: policy[0].who.ca is \"mesh\", and there is no such authority; there are: builtin\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 1}, may: []}]\n"),
			":2:31: policy[0].may is an empty list; name a secret, or remove the key\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 1}, may: a}]\n"),
			":2:31: policy[0].may is \"a\"; it takes a list of names or patterns of secrets\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 1}, may: [\"\"]}]\n"),
			":2:32: policy[0].may[0] is \"\"; it takes a name or a pattern of a secret\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 1}, may: [\"a***\"]}]\n"),
			":2:32: policy[0].may[0] has three stars in a row; \"*\" stops at a separator, \"**\" does "
			"not\n"},
		{TEXT(LISTEN "policy: [{who: {uri: \"\"}, may: [a]}]\n"),
			":2:22: policy[0].who.uri is \"\"; it takes a pattern over URIs, such as "
			"\"spiffe://td.example/gw/*\"\n"},
		{TEXT(LISTEN "policy: [{who: 1, deny: [a]}]\n"),
			":2:16: policy[0].who is \"1\"; it takes a mapping with uid, gid, uri, dns, ca\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 1}, may: [*]}]\n"),
			":2:33: not YAML: did not find expected alphabetic or numeric character, while scanning an "
			"alias; a text that holds any of {}[],:#&*!|>%@` needs double quotes\n"},
		{TEXT(LISTEN "policy: [{who: {uid: 1}, my: [a]}]\n"),
			":2:10: policy[0] gives and takes nothing; a rule has \"may\", \"deny\" or both\n"
			":2:26: unknown key \"my\" in policy[0]; there are: who, may, deny\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_errors(cases[i].text, cases[i].len, cases[i].errors);
}

/* before, count times piece, after. */
static void assert_errors_of_many(
	const char *before, const char *piece, size_t count, const char *after, const char *expected)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, before);
	for (size_t i = 0; i < count; i++)
		buf_add_text(&b, piece);
	buf_add_text(&b, after);
	assert_errors(buf_text(&b), b.len, expected);
	buf_free(&b);
}

static void test_bounds(void **state)
{
	(void)state;
	assert_errors_of_many(LISTEN "secrets:\n  ? ", "n", 1025, "\n  : {bundle: [builtin]}\n",
		":3:5: a name in secrets has 1025 bytes; a name has 1 to 1024\n");
	assert_errors_of_many(LISTEN "secrets:\n  ? ", "n", 1024, "\n  : {bundle: [builtin]}\n", "");
	assert_errors_of_many(LISTEN PROFILE "secrets: {web: {profile: p, dns: [", "a, ", 101, "]}}\n",
		":3:16: secrets.web has 101 names for its certificate; at most 100 are possible\n");
	assert_errors_of_many(LISTEN "x: ", "[", 40, "\n", ":2:35: nested deeper than 32; no config needs that\n");
	assert_errors_of_many(LISTEN "policy: [{who: {uri: \"", "a", 2049, "\"}, may: [a]}]\n",
		":2:22: policy[0].who.uri has 2049 bytes; at most 2048 are possible\n");
	assert_errors_of_many("listen:\n", "  - unix: {path: /x}\n  - unix: {path: /y}\n", 1, "", "");
	assert_errors_of_many("listen:\n", "  - telemetry: {address: \"127.0.0.1:0\"}\n", 32, "",
		":2:3: listen has 32 listeners; at most 31 are possible\n");
	assert_errors_of_many(
		"#", "x", CONFIG_FILE_MAX, "", ": 1048577 bytes are too long; a config has at most 1048576\n");
	/* What takes libyaml's loader more than ten seconds, and a file of nothing but openings. */
	assert_errors_of_many("", "[", CONFIG_FILE_MAX, "", ":1:33: nested deeper than 32; no config needs that\n");
	assert_errors_of_many(
		"", "{a: ", CONFIG_FILE_MAX / 4, "", ":1:129: nested deeper than 32; no config needs that\n");
}

static void test_many_errors(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	buf_add_text(&b, LISTEN);
	for (int i = 0; i < 150; i++)
		buf_printf(&b, "k%d: 1\n", i);
	struct config *c = NULL;
	struct config_errors *e = NULL;
	AUTO(fault_freep) struct fault *f = config_load_text("x.yaml", buf_text(&b), b.len, &c, &e);
	assert_non_null(f);
	assert_int_equal(config_errors_count(e), 150);
	assert_non_null(strstr(fault_text(f), "x.yaml:2:1: unknown key \"k0\""));
	assert_non_null(strstr(fault_text(f), "(and 149 more)"));
	struct buf text = BUF_INIT;
	config_errors_text(e, &text);
	assert_non_null(strstr(buf_text(&text), "\nx.yaml: and 50 more\n"));
	buf_free(&text);
	buf_free(&b);
	config_errors_free(e);
}

/* In the order of the file, whichever was found first; the reader begins with the scalars. */
static void test_order(void **state)
{
	(void)state;
	assert_errors(TEXT("policy: 1\nsecrets: 1\nlisten: [{unix: {path: x, mode: 1}}]\nworkers: 0\n"),
		":1:9: policy is \"1\"; it takes a list of rules\n"
		":2:10: secrets is \"1\"; it takes a mapping from names to secrets\n"
		":3:24: listen[0].unix.path is \"x\"; it takes an absolute path of at most 103 bytes\n"
		":3:33: listen[0].unix.mode is \"1\"; it takes a file mode as four octal digits in quotes, such as "
		"\"0660\"\n"
		":4:10: workers is \"0\"; it takes a whole number from 1 to 64\n");
}

/* A part that is wrong does not make what refers to it wrong. */
static void test_no_errors_that_follow(void **state)
{
	(void)state;
	assert_errors(TEXT(LISTEN "authorities: {mesh: {type: istio}}\n"
				  "profiles: {p: {authority: mesh, uri: [\"spiffe://td/{x}\"]}}\n"
				  "secrets: {web: {profile: p}, roots: {bundle: [mesh]}}\n"),
		":2:28: authorities.mesh.type is \"istio\", which this leafcast does not have; there are: builtin, "
		"step, vault, exec\n"
		":3:39: profiles.p.uri[0]: column 13: there is no variable {x}; there are: {uid}, {gid}, {uri}, {dns}, "
		"{spiffe.trust_domain}, {spiffe.path}\n");
}

static void test_columns_are_characters(void **state)
{
	(void)state;
	assert_errors(TEXT(LISTEN "secrets: {\"\303\251\303\251\": {profile: q}}\n"),
		":2:27: secrets.\303\251\303\251.profile is \"q\", and there is no such profile; there are: none\n");
	assert_errors(
		TEXT("a: \"\303\251\303\251\377\"\n"), ":1:7: bytes that are not UTF-8; save the file as UTF-8\n");
	assert_errors(TEXT("a: \"\303\251\303\251\001\"\n"), ":1:7: a character that YAML does not allow; remove it\n");
}

static void test_file(void **state)
{
	(void)state;
	struct config *c = NULL;
	struct config_errors *e = NULL;
	AUTO(fault_freep) struct fault *f = config_load_file("/nonexistent/leafcast.yaml", &c, &e);
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_NOT_FOUND);
	assert_int_equal(config_errors_count(e), 1);
	config_errors_free(e);
	AUTO(fault_freep) struct fault *folder = config_load_file("/", &c, NULL);
	assert_non_null(folder);
	assert_null(c);
}

int main(void)
{
	/* So that nothing depends on who runs the test. */
	assert_int_equal(setenv("STATE_DIRECTORY", "/state", 1), 0);
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/x", 1), 0);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors), cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_many_errors), cmocka_unit_test(test_order),
		cmocka_unit_test(test_no_errors_that_follow), cmocka_unit_test(test_columns_are_characters),
		cmocka_unit_test(test_file)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
