// The page of "travel_graphql graphiql=": asks the endpoint it was opened at.
(function () {
    const root = document.getElementById('graphiql');
    const fetcher = GraphiQL.createFetcher({ url: root.dataset.endpoint });
    const first = '# Tokens go into "Headers", below: {"Authorization": "Bearer ..."}\n'
        + '{\n  places(query: "Lyon", limit: 3) {\n    name\n    countryCode\n  }\n}\n';
    ReactDOM.createRoot(root).render(React.createElement(GraphiQL, {
        fetcher, defaultQuery: first, visiblePlugin: 'Documentation Explorer',
        defaultEditorToolsVisibility: 'headers', shouldPersistHeaders: false,
    }));
}());
