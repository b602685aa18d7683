/* What is behind every schema's own definitions; for the parser alone. */

#ifndef TRAVEL_GRAPHQL_BUILTIN_H
#define TRAVEL_GRAPHQL_BUILTIN_H

/* What every schema has (October 2021, section 4; 2025: isOneOf). */
static const char  parser_builtin[] =
    "scalar Int scalar Float scalar String scalar Boolean scalar ID\n"
    "directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD"
    " | INLINE_FRAGMENT\n"
    "directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD"
    " | INLINE_FRAGMENT\n"
    "directive @deprecated(reason: String = \"No longer supported\") on"
    " FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION"
    " | ENUM_VALUE\n"
    "directive @specifiedBy(url: String!) on SCALAR\n"
    "directive @oneOf on INPUT_OBJECT\n"
    "type __Schema { description: String types: [__Type!]! queryType: __Type!"
    " mutationType: __Type subscriptionType: __Type"
    " directives(includeDeprecated: Boolean = false): [__Directive!]! }\n"
    "type __Type { kind: __TypeKind! name: String description: String"
    " specifiedByURL: String"
    " fields(includeDeprecated: Boolean = false): [__Field!]"
    " interfaces: [__Type!] possibleTypes: [__Type!]"
    " enumValues(includeDeprecated: Boolean = false): [__EnumValue!]"
    " inputFields(includeDeprecated: Boolean = false): [__InputValue!]"
    " ofType: __Type isOneOf: Boolean }\n"
    "enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST"
    " NON_NULL }\n"
    "type __Field { name: String! description: String"
    " args(includeDeprecated: Boolean = false): [__InputValue!]!"
    " type: __Type! isDeprecated: Boolean! deprecationReason: String }\n"
    "type __InputValue { name: String! description: String type: __Type!"
    " defaultValue: String isDeprecated: Boolean! deprecationReason: String }\n"
    "type __EnumValue { name: String! description: String"
    " isDeprecated: Boolean! deprecationReason: String }\n"
    "type __Directive { name: String! description: String"
    " isRepeatable: Boolean! locations: [__DirectiveLocation!]!"
    " args(includeDeprecated: Boolean = false): [__InputValue!]! }\n"
    "enum __DirectiveLocation { QUERY MUTATION SUBSCRIPTION FIELD"
    " FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT VARIABLE_DEFINITION"
    " SCHEMA SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE"
    " UNION ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION }\n";

#endif
